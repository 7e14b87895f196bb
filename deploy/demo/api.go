package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// An api asks the running service.
type api struct {
	base   string
	client *http.Client
}

func newAPI(addr string) *api {
	return &api{base: "http://" + addr, client: &http.Client{Timeout: 2 * time.Second}}
}

// get reads one JSON answer.
func (a *api) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return err
	}
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// status is the pool's.
func (a *api) status(ctx context.Context) (scaler.PoolStatus, error) {
	var st scaler.Status
	if err := a.get(ctx, "/api/flyball/v1/status", &st); err != nil {
		return scaler.PoolStatus{}, err
	}
	for _, p := range st.Pools {
		if p.Name == "web" {
			return p, nil
		}
	}
	return scaler.PoolStatus{}, fmt.Errorf("there is no pool web")
}

// entries are those of the journal after a number.
func (a *api) entries(ctx context.Context, after journal.Seq) ([]journal.Entry, error) {
	var out []journal.Entry
	for {
		var page journal.Page
		if err := a.get(ctx, fmt.Sprintf("/api/flyball/v1/entries?after=%d&limit=1000", after), &page); err != nil {
			return out, err
		}
		out = append(out, page.Entries...)
		if !page.More {
			return out, nil
		}
		after = out[len(out)-1].Seq
	}
}

// ticks are the pool's judgements between two times.
func (a *api) ticks(ctx context.Context, from, to time.Time) ([]journal.Tick, error) {
	var out []journal.Tick
	for {
		var page journal.TickPage
		q := url.Values{"pool": {"web"}, "from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}}
		if err := a.get(ctx, "/api/flyball/v1/ticks?"+q.Encode(), &page); err != nil {
			return nil, err
		}
		out = append(out, page.Ticks...)
		if page.Next.IsZero() {
			return out, nil
		}
		from = page.Next
	}
}

// samples counts those of a selector after one time and up to another.
func (a *api) samples(ctx context.Context, selector string, from, to time.Time) (int, error) {
	query := fmt.Sprintf("sum(count_over_time(%s[%s] @ %d))", selector, to.Sub(from), to.Unix())
	n, ok := a.byMember(ctx, query)[""]
	if !ok {
		return 0, fmt.Errorf("count samples: %s answers nothing", query)
	}
	return int(n), nil
}

// byMember asks a PromQL query that answers one value a member.
func (a *api) byMember(ctx context.Context, query string) map[string]float64 {
	var res struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	out := map[string]float64{}
	if a.get(ctx, "/api/v1/query?query="+url.QueryEscape(query), &res) != nil {
		return out
	}
	for _, r := range res.Data.Result {
		text, _ := r.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			out[r.Metric["member"]] = v
		}
	}
	return out
}

// admitted are the members that get requests.
func admitted(p scaler.PoolStatus) []rules.Member {
	var out []rules.Member
	for _, m := range p.Members {
		if m.State == rules.Ready && m.Open != nil {
			out = append(out, m)
		}
	}
	return out
}

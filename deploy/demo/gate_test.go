package demo

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// ask reads a page, over a connection that is kept.
func ask(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestAGateCutsOffWhoAsksThroughItAndNobodyElse(t *testing.T) {
	hang := make(chan struct{})
	held := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			close(held)
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		io.WriteString(w, "served")
	}))
	defer server.Close()
	defer close(hang)
	g, err := openGate(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	through := "http://" + g.addr()
	if got, err := ask(t.Context(), client, through); got != "served" {
		t.Fatalf("through the open gate: %q %v", got, err)
	}

	under := make(chan error, 1)
	go func() {
		_, err := ask(t.Context(), client, through+"/held")
		under <- err
	}()
	<-held
	g.shut()
	if err := <-under; err == nil {
		t.Error("a request that was under way is answered though the gate was shut")
	}
	if got, err := ask(t.Context(), client, through); err == nil {
		t.Errorf("the shut gate lets a request through: %q", got)
	}
	if got, err := ask(t.Context(), client, server.URL); got != "served" {
		t.Errorf("beside the shut gate: %q %v", got, err)
	}

	g.open()
	if got, err := ask(t.Context(), client, through); got != "served" {
		t.Errorf("through the gate once it is open again: %q %v", got, err)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	if len(g.conns) != 0 {
		t.Errorf("%d connections are left", len(g.conns))
	}
	if got, err := ask(t.Context(), client, through); err == nil {
		t.Errorf("the gate that has ended lets a request through: %q", got)
	}
}

func TestAGateBeforeNobodyLetsGo(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	addr := server.Listener.Addr().String()
	server.Close()
	g, err := openGate(addr)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t.Context(), &http.Client{Timeout: 20 * time.Second}, "http://"+g.addr()); err == nil {
		t.Errorf("somebody answers: %q", got)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
}

package exporter_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/collector/exporter"
)

var size = exporter.Gauge("disk_size_bytes", "Size.", "disk")

// disk is a target of one part that tells what a test wants.
func disk(reach error, parts ...exporter.Part) exporter.Options {
	return exporter.Options{Kind: "disk", Labels: prometheus.Labels{"name": "a"}, Parts: parts, Reach: func(context.Context) error { return reach }}
}

func part(name string, read func(context.Context, *exporter.Sink) error) exporter.Part {
	return exporter.Part{Name: name, Metrics: []exporter.Metric{size}, Read: read}
}

// tells checks what an exporter tells but for how long its parts took.
func tells(t *testing.T, c prometheus.Collector, want ...string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	var got []string
	for _, f := range families {
		if strings.HasSuffix(f.GetName(), "_duration_seconds") {
			continue
		}
		for _, m := range f.GetMetric() {
			line := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "name" {
					line += " " + l.GetName() + "=" + l.GetValue()
				} else if l.GetValue() != "a" {
					t.Errorf("%s has the name %s", line, l.GetValue())
				}
			}
			got = append(got, fmt.Sprintf("%s %g", line, m.GetGauge().GetValue()))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAPartThatFailsCostsOnlyItself(t *testing.T) {
	bad := part("bad", func(_ context.Context, s *exporter.Sink) error {
		s.Give(size, 1, "sda")
		return exporter.Because(exporter.Permission, errors.New("no"))
	})
	good := part("good", func(_ context.Context, s *exporter.Sink) error { s.Give(size, 2, "sdb"); return nil })
	tells(t, exporter.New(disk(nil, bad, good)),
		"disk_part_down part=bad reason=permission 1",
		"disk_part_up part=bad 0", "disk_part_up part=good 1",
		"disk_size_bytes disk=sda 1", "disk_size_bytes disk=sdb 2",
		"disk_up 1")
}

func TestATargetThatIsDownTellsWhyAndNothingElse(t *testing.T) {
	read := part("never", func(context.Context, *exporter.Sink) error { t.Error("a target that is down was read"); return nil })
	e := exporter.New(disk(fmt.Errorf("dial: %w", syscall.ECONNREFUSED), read))
	tells(t, e, "disk_down reason=refused 1", "disk_up 0")
	if s := e.Status(); !errors.Is(s.Down, syscall.ECONNREFUSED) || s.At.IsZero() {
		t.Errorf("status is %+v", s)
	}
}

func TestWhatWasNotDeclaredOrIsToldTwiceIsThePartsMistake(t *testing.T) {
	for name, give := range map[string]func(s *exporter.Sink){
		"undeclared":      func(s *exporter.Sink) { s.Give(exporter.Gauge("other", "Other."), 1) },
		"twice":           func(s *exporter.Sink) { s.Give(size, 1, "sda"); s.Give(size, 2, "sda") },
		"labels too few":  func(s *exporter.Sink) { s.Give(size, 1) },
		"labels not UTF8": func(s *exporter.Sink) { s.Give(size, 1, "\xc3\x28") },
	} {
		t.Run(name, func(t *testing.T) {
			e := exporter.New(disk(nil, part("p", func(_ context.Context, s *exporter.Sink) error { give(s); return nil })))
			if n := testutil.CollectAndCount(e, "disk_part_down"); n != 1 {
				t.Errorf("the part is not down: %d", n)
			}
			if e.Status().Parts["p"] == nil {
				t.Error("the mistake is not told")
			}
		})
	}
}

func TestAPartThatHangsLeavesTimeForTheOthersAndEndsWithTheScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := part("hangs", func(ctx context.Context, _ *exporter.Sink) error { <-ctx.Done(); return ctx.Err() })
		good := part("good", func(ctx context.Context, s *exporter.Sink) error { s.Give(size, 1, "sda"); return ctx.Err() })
		e := exporter.New(disk(nil, hang, good))
		begun := time.Now()
		tells(t, e,
			"disk_part_down part=hangs reason=timeout 1",
			"disk_part_up part=good 1", "disk_part_up part=hangs 0",
			"disk_size_bytes disk=sda 1", "disk_up 1")
		if took := time.Since(begun); took != exporter.DefaultTimeout/2 {
			t.Errorf("took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		testutil.CollectAndCount(e.Within(ctx))
		if took := time.Since(begun); took != time.Second/2 {
			t.Errorf("within a second took %s", took)
		}
	})
}

func TestScrapesAtTheSameTimeTakeTurnsAndNeitherWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := 0
		hang := func(ctx context.Context, _ *exporter.Sink) error {
			if at++; at > 1 {
				t.Error("two scrapes at once")
			}
			<-ctx.Done()
			at--
			return ctx.Err()
		}
		e := exporter.New(disk(nil, part("first", hang), part("second", hang)))
		done := make(chan int)
		go func() { done <- testutil.CollectAndCount(e, "disk_part_up") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		tells(t, e.Within(ctx), "disk_down reason=timeout 1", "disk_up 0")
		<-done
	})
}

func TestCloseWaitsForTheScrapeUnderWayAndIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading := false
		o := disk(nil, part("slow", func(ctx context.Context, _ *exporter.Sink) error {
			reading = true
			defer func() { reading = false }()
			<-ctx.Done()
			return ctx.Err()
		}))
		o.Close = func() error {
			if reading {
				t.Error("closed while it was read")
			}
			return nil
		}
		e := exporter.New(o)
		go testutil.CollectAndCount(e)
		synctest.Wait()
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		tells(t, e, "disk_down reason=broken 1", "disk_up 0")
	})
}

func TestReasons(t *testing.T) {
	deadline, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("x"), exporter.Broken},
		{fmt.Errorf("ask: %w", exporter.Because(exporter.Denied, errors.New("x"))), exporter.Denied},
		{fmt.Errorf("ask: %w", deadline.Err()), exporter.Timeout},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, exporter.Timeout},
		{&net.DNSError{Name: "db"}, exporter.Unresolved},
		{&os.PathError{Op: "dial", Path: "/x", Err: syscall.ENOENT}, exporter.Refused},
		{&net.OpError{Op: "dial", Err: &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}}, exporter.Refused},
		{&net.OpError{Op: "dial", Err: &os.SyscallError{Syscall: "connect", Err: syscall.EACCES}}, exporter.Permission},
		{errors.Join(errors.New("x"), exporter.Because(exporter.Missing, errors.New("y"))), exporter.Missing},
	} {
		if got := exporter.Reason(c.err); got != c.want {
			t.Errorf("the reason of %v is %q, want %q", c.err, got, c.want)
		}
	}
	if exporter.Because(exporter.Denied, nil) != nil {
		t.Error("no error has a reason")
	}
}

func TestTheTableListsEveryMetric(t *testing.T) {
	got := exporter.Table("disk", []exporter.Part{part("p", nil)})
	for _, want := range []string{"| `disk_up` | gauge |  | Whether", "| `disk_size_bytes` | gauge | disk | Size. |\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, got)
		}
	}
}

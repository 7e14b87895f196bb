package demo

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/moby/client"

	"flyball/collector/container"
)

// store is the part of the app's command line that says where it keeps products.
func (o Options) store(dir string) []string {
	switch {
	case o.Store == Cassandra:
		host, port, _ := net.SplitHostPort(o.Cassandra)
		return []string{"--store", "cassandra", "--cassandra-hosts", host, "--cassandra-port", strconv.Quote(port), "--cassandra-keyspace", "flyball_demo"}
	case o.Pool == Containers:
		return []string{"--db", "/db/app.db"}
	}
	return []string{"--db", filepath.Join(dir, "db", "app.db")}
}

// hold is how long a member holds each request beside the time that its store
// takes, so that it serves some 20 a second, and never so few that what it serves does
// not show that there is more to do. A request to Cassandra takes 5 to 30 ms on a small
// machine, one to SQLite next to nothing.
func (o Options) hold() time.Duration {
	if o.Store == Cassandra {
		return 15 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// props is what a stage needs beside Flyball.
type props struct {
	engine  *client.Client
	image   string // "": it is not built
	haproxy *child
}

// set puts up the database's tables, the members' image and HAProxy.
func (s *stage) set(ctx context.Context, o Options) (*props, error) {
	p := &props{}
	if o.Store == Cassandra {
		if err := s.migrate(ctx, o); err != nil {
			return p, err
		}
	}
	if o.Pool != Containers {
		return p, nil
	}
	var err error
	if p.engine, err = container.Dial(o.Socket); err != nil {
		return p, err
	}
	if err := p.build(ctx, o.App, s.image); err != nil {
		return p, fmt.Errorf("build the members' image: %w", err)
	}
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return p, fmt.Errorf("find HAProxy: %w (install it, e.g. by apt-get install haproxy)", err)
	}
	p.haproxy, err = startChild(filepath.Join(s.dir, "haproxy.log"), program, "-db", "-f", filepath.Join(s.dir, "haproxy.cfg"))
	return p, err
}

// migrate makes the app's tables.
func (s *stage) migrate(ctx context.Context, o Options) error {
	host, port, err := net.SplitHostPort(o.Cassandra)
	if err != nil {
		return fmt.Errorf("read the address of Cassandra: %w (write --cassandra host:port)", err)
	}
	cmd := exec.CommandContext(ctx, o.App, "migrate", "--store", "cassandra",
		"--cassandra-hosts", host, "--cassandra-port", port,
		"--cassandra-keyspace", "flyball_demo", "--replication", o.Replication)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make tables: %w\n%s", err, out)
	}
	return nil
}

// imageName is the name of an image that only this demo has.
func imageName() string {
	return "localhost/flyball-demo-" + strconv.Itoa(os.Getpid()) + ":" + strconv.FormatInt(time.Now().Unix(), 36)
}

// build makes the members' image of the app's program alone.
func (p *props) build(ctx context.Context, app, image string) error {
	program, err := os.ReadFile(app)
	if err != nil {
		return err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, f := range []struct {
		name string
		mode int64
		body []byte
	}{
		{"Dockerfile", 0o644, []byte("FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n")},
		{"app", 0o755, program},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body))}); err != nil {
			return err
		}
		if _, err := w.Write(f.body); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	res, err := p.engine.ImageBuild(ctx, &files, client.ImageBuildOptions{Tags: []string{image}, Remove: true, ForceRemove: true})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := built(res.Body); err != nil {
		return err
	}
	p.image = image
	return nil
}

// built reads what the engine says of a build to its end.
func built(r io.Reader) error {
	for lines := json.NewDecoder(r); ; {
		var line struct {
			Error string `json:"error"`
		}
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// strike takes down what was put up. The members are gone by then.
func (p *props) strike(ctx context.Context) error {
	if p == nil {
		return nil
	}
	var errs []error
	if p.haproxy != nil {
		errs = append(errs, p.haproxy.stop(ctx))
	}
	if p.image != "" {
		_, err := p.engine.ImageRemove(ctx, p.image, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		errs = append(errs, err)
	}
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	return errors.Join(errs...)
}

package testservers

import (
	"context"
	"embed"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const elasticsearchVersion = "8.19.21"

//go:embed elasticsearch
var elasticsearchFiles embed.FS

// Elasticsearch is one node: the engine and its HTTP layer as they are published
// on Maven Central, which is without the modules for security, ILM, ES|QL,
// scripts, reindexing and the management of data streams. Its root page and the
// times of time series indices come from a module of ours, Fill.java.
type Elasticsearch struct {
	*Server
	http, transport int // ports
}

// StartElasticsearch starts a node for one test.
func StartElasticsearch(t testing.TB) *Elasticsearch {
	t.Helper()
	return begin(t, func(ctx context.Context, g *Group) (*Elasticsearch, error) { return g.StartElasticsearch(ctx) })
}

// SharedElasticsearch returns the node that the tests of this process share: each
// takes names of its own for indices and templates.
func SharedElasticsearch(t testing.TB) *Elasticsearch {
	t.Helper()
	return share(t, "elasticsearch", func(ctx context.Context, g *Group) (*Elasticsearch, error) { return g.StartElasticsearch(ctx) })
}

// StartElasticsearch starts a node.
func (g *Group) StartElasticsearch(ctx context.Context) (*Elasticsearch, error) {
	java, err := look("java", "openjdk-17-jre-headless")
	if err != nil {
		return nil, err
	}
	cache, err := elasticsearchCache()
	if err != nil {
		return nil, err
	}
	home, err := cached(ctx, cache, buildElasticsearch)
	if err != nil {
		return nil, err
	}
	s, err := g.place("elasticsearch")
	if err != nil {
		return nil, err
	}
	e := &Elasticsearch{Server: s}
	return e, s.launch(ctx, func() error {
		if e.http, err = s.port(); err != nil {
			return err
		}
		if e.transport, err = s.port(); err != nil {
			return err
		}
		s.program = program{path: java, args: e.options(home), quit: syscall.SIGTERM, patience: 3 * time.Minute, ready: e.healthy}
		return os.Mkdir(filepath.Join(s.dir, "tmp"), 0o755)
	})
}

// options returns the arguments of java.
func (e *Elasticsearch) options(home string) []string {
	tmp := filepath.Join(e.dir, "tmp")
	return []string{
		"-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + tmp, "-Djna.tmpdir=" + tmp, "-Dlog4j2.disable.jmx=true",
		"--module-path", filepath.Join(home, "lib"), "--add-modules", "ALL-MODULE-PATH", "--add-modules", "jdk.net",
		"-cp", filepath.Join(home, "classes"), "flyball.Node",
		home, filepath.Join(e.dir, "data"), strconv.Itoa(e.http), strconv.Itoa(e.transport),
	}
}

// Addr returns where the node listens: 127.0.0.1:port.
func (e *Elasticsearch) Addr() string { return loopback(e.http) }

// URL returns where the node serves, without a slash at the end.
func (e *Elasticsearch) URL() string { return "http://" + e.Addr() }

// healthy asks the node whether it takes writes.
func (e *Elasticsearch) healthy(ctx context.Context) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL()+"/_cluster/health?wait_for_status=yellow&timeout=2s", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	r, err := transport.RoundTrip(q)
	if err != nil {
		return fmt.Errorf("ask %s: %w", e.name, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", e.name, err)
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: it answers %s: %s", e.name, r.Status, body)
	}
	return nil
}

// elasticsearchCache names the folder of the cache after all that goes into it.
func elasticsearchCache() (string, error) {
	sum := fnv.New32a()
	err := fs.WalkDir(elasticsearchFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := elasticsearchFiles.ReadFile(path)
		fmt.Fprint(sum, path, len(text))
		_, _ = sum.Write(text)
		return err
	})
	return fmt.Sprintf("elasticsearch-%s-%08x", elasticsearchVersion, sum.Sum32()), err
}

// buildElasticsearch makes a home as the server wants it: its libraries, the
// module for HTTP, and ours.
func buildElasticsearch(ctx context.Context, home string) error {
	if _, err := look("javac", "openjdk-17-jdk-headless"); err != nil {
		return err
	}
	source := filepath.Join(home, "source")
	files := []string{"pom.xml", "Node.java", "Fill.java", "log4j2.properties", "plugin-descriptor.properties", "build.sh"}
	if err := writeFiles(elasticsearchFiles, source, files, map[string]any{"Version": elasticsearchVersion}); err != nil {
		return err
	}
	if err := jars(ctx, filepath.Join(source, "pom.xml"), filepath.Join(home, "lib")); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", filepath.Join(source, "build.sh"))
	cmd.Dir = home
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build a home for Elasticsearch: %w: %s", err, out)
	}
	return nil
}

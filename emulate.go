package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"flyball/scaler/pool/emulate"
)

// emulation is what `flyball emulate` was told.
type emulation struct {
	listen  string
	dir     string
	seed    uint64
	faults  []string
	machine string
	port    int
	boot    time.Duration
	quiet   bool
}

// emulateCommand is `flyball emulate`.
func emulateCommand(io stdio) *cobra.Command {
	e := emulation{}
	cmd := usageOf(&cobra.Command{
		Use:   "emulate digitalocean | gce",
		Short: "Serve a cloud's API, with machines on this one, to try rules without an account",
		Long: `Serve the API of a cloud as it behaves: what is asked for comes later, lists lag,
limits are hit, machines boot slowly. Nothing is kept: the end of the program is the
end of its machines. What flyball.yaml has to say to use it is printed, and then, on
standard error, a line for each machine that is made, serves, is asked to end and is
gone, for each fault that befalls, and for each order that is refused.

A machine has an address of 127.0.0.0/8. By default something answers there, to
every path, with 200; --machine starts a program in its place, e.g.
  flyball emulate digitalocean --machine 'bin/app serve --listen {addr}:8080'

Faults are planted by name, with --fault or while it serves, each for all that it
fits or for a share of it; what they did stays done when they are healed:
  curl -X PUT -d 5% http://127.0.0.1:8181/emulator/faults/error_500
  curl http://127.0.0.1:8181/emulator/faults
  curl -X DELETE http://127.0.0.1:8181/emulator/faults/error_500
What follows the share is said with commas, as 5%,times=3,on=POST /v2/droplets: at
most so often, and only of requests, or of machines' names, that begin so.
` + faultList() + `

A machine is destroyed behind Flyball's back, on both clouds, with
  curl -X DELETE http://127.0.0.1:8181/emulator/machines/web-1

A new template for "flyball pool roll web" is, on gce, made and given to the group with
  api=http://127.0.0.1:8181/compute/v1/projects/emulated
  curl -H 'Authorization: Bearer any' $api/global/instanceTemplates \
    -d '{"name": "web-v2", "properties": {"machineType": "e2-medium"}}'
  curl -H 'Authorization: Bearer any' \
    $api/zones/us-central1-a/instanceGroupManagers/web/setInstanceTemplate \
    -d '{"instanceTemplate": "global/instanceTemplates/web-v2"}'
On digitalocean, write another image or size into flyball.yaml.`,
		ValidArgs: []string{"digitalocean", "gce"},
		RunE: func(cmd *cobra.Command, args []string) error {
			faults, err := e.planted()
			if err != nil {
				return usage(err)
			}
			return e.serve(cmd.Context(), io, args[0], faults)
		},
	}, cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs))
	f := cmd.Flags()
	f.StringVar(&e.listen, "listen", "127.0.0.1:8181", "host:port to serve the API at")
	f.StringVar(&e.dir, "dir", "emulated", "folder for the token or key that flyball.yaml names")
	f.Uint64Var(&e.seed, "seed", 1, "of the dice: the same requests at the same times get the same answers")
	f.StringArrayVar(&e.faults, "fault", nil, "plant a fault: its name, or name=share, e.g. error_500=5% or error_500=5%,times=3,on=POST")
	f.StringVar(&e.machine, "machine", "", "program and arguments of each machine; {addr} and {name} stand for the machine's own")
	f.IntVar(&e.port, "port", 8080, "port at which machines answer without --machine")
	f.BoolVar(&e.quiet, "quiet", false, "do not tell what happens to machines and which faults befall")
	f.DurationVar(&e.boot, "boot", 5*time.Second, "how long machines take to boot, up to twice as long")
	return cmd
}

func faultList() string {
	var b strings.Builder
	for _, name := range emulate.Names() {
		fmt.Fprintf(&b, "  %-18s %s\n", name, emulate.About(name))
	}
	return strings.TrimRight(b.String(), "\n")
}

// planted reads the faults.
func (e emulation) planted() ([]emulate.Fault, error) {
	var out []emulate.Fault
	for _, s := range e.faults {
		f, err := emulate.ParseFault(s)
		if err != nil {
			return nil, fmt.Errorf("--fault: %w", err)
		}
		out = append(out, f)
	}
	return out, nil
}

// serve serves a cloud until ctx ends, and ends its machines.
func (e emulation) serve(ctx context.Context, io stdio, cloud string, faults []emulate.Fault) error {
	l, err := net.Listen("tcp", e.listen)
	if err != nil {
		return fmt.Errorf("serve the API: %w", err)
	}
	defer l.Close()
	machines := newLocalMachines(e.machine, e.port, io.err)
	defer machines.close()
	o := emulate.Options{Seed: e.seed, Machines: machines, BootMin: e.boot, BootMax: 2 * e.boot}
	if !e.quiet {
		o.Tell = func(at time.Time, line string) { fmt.Fprintln(io.err, at.Format(time.TimeOnly), line) }
	}
	w := emulate.NewWorld(o)
	defer w.Close()
	for _, f := range faults {
		w.Plant(f)
	}
	endpoint := "http://" + l.Addr().String()
	api, lines, err := e.cloud(w, cloud, endpoint)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.out, `serving %s at %s; Ctrl-C ends it and its machines. In flyball.yaml:

%s
To plant a fault (GET lists them, DELETE heals), and to destroy a machine:

  curl -X PUT -d 5%% %[2]s/emulator/faults/error_500
  curl -X DELETE %[2]s/emulator/machines/web-1

`, cloud, endpoint, lines)
	s := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.Run(ctx) })
	g.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return s.Close()
	})
	return g.Wait()
}

// cloud makes a cloud, and returns its API, with the emulator's controls, and the lines
// of flyball.yaml for it.
func (e emulation) cloud(w *emulate.World, name, endpoint string) (http.Handler, string, error) {
	dir, err := filepath.Abs(e.dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, "", fmt.Errorf("make the folder of the token: %w", err)
	}
	if name == "gce" {
		c := emulate.NewCompute(w, emulate.ComputeOptions{})
		key := filepath.Join(dir, "key.json")
		if err := c.WriteCredentials(key, endpoint); err != nil {
			return nil, "", err
		}
		return w.Controls(c, c.DeleteByHand), fmt.Sprintf(`pools:
  web:
    gce:
      endpoint: %s
      credentials_file: %s
      project: emulated
      zone: us-central1-a
      group: web
      mode: direct
      port: %d
    ready: {http: /readyz}
`, endpoint, key, e.port), nil
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("emulated\n"), 0o600); err != nil {
		return nil, "", fmt.Errorf("write the token: %w", err)
	}
	d := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{Token: "emulated"})
	return w.Controls(d, d.Destroy), fmt.Sprintf(`pools:
  web:
    digitalocean:
      endpoint: %s
      token_file: %s
      port: %d
      droplets: {regions: [fra1, ams3], sizes: [s-1vcpu-1gb, s-1vcpu-2gb], image: ubuntu-24-04-x64}
    ready: {http: /readyz}
`, endpoint, token, e.port), nil
}

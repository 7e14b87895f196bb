package container

import (
	"time"
)

// Config is one pool of containers on an engine of this machine.
type Config struct {
	// Socket is the engine's Docker-compatible API.
	Socket string `yaml:"socket" default:"unix:///run/docker.sock" doc:"unix socket of a Docker-compatible engine on this machine"`
	// Image is what members are made of.
	Image string `yaml:"image" required:"true" doc:"image of the members, with its tag or digest"`
	// Pull says when the image is fetched from its registry.
	Pull string `yaml:"pull" default:"missing" enum:"missing always never" doc:"when the image is fetched from its registry"`
	// AuthFile has the registries' passwords, as docker login writes them.
	AuthFile string `yaml:"auth_file" doc:"config.json of docker login with the password of the image's registry; read anew each time. podman's engine knows its own"`
	// Command is the program's arguments. In each, {name} and {port} are replaced.
	Command []string `yaml:"command" doc:"arguments of the image's program, {name} and {port} stand for the member's own; by default the image's own command"`
	// Port is where the service listens inside.
	Port int `yaml:"port" required:"true" doc:"port at which the service listens inside"`
	// Env is the members' environment beside the image's own; the same
	// placeholders are replaced. A variable without a value is passed on from
	// Flyball's own environment: so secrets stay out of the file.
	Env map[string]string `yaml:"env" doc:"variables for the members beside the image's own; one without a value is passed on from Flyball's own environment"`
	// Network is the engine's network that members join.
	Network string `yaml:"network" doc:"network of the engine that members join; by default the engine's own default"`
	// Publish gives each member a free port of 127.0.0.1, where the members' own
	// addresses cannot be reached: rootless engines, Docker Desktop.
	Publish bool `yaml:"publish" doc:"reach members through a free port of 127.0.0.1 each; needed where their own addresses cannot be reached: rootless engines, Docker Desktop"`

	CPUs   float64 `yaml:"cpus" doc:"processors that a member may use, e.g. 0.5; by default as many as there are"`
	Memory Size    `yaml:"memory" doc:"memory that a member may use, e.g. 64MB; by default as much as there is"`
	Pids   int     `yaml:"pids" default:"2048" doc:"processes and threads that a member may have"`

	User          string   `yaml:"user" doc:"user, or user:group, that members run as; by default the image's own"`
	ReadOnly      bool     `yaml:"read_only" doc:"members cannot write to their own files; see tmpfs"`
	Tmpfs         []string `yaml:"tmpfs" doc:"folders that are kept in memory, e.g. /tmp"`
	Volumes       []string `yaml:"volumes" doc:"what all members share, host:container or host:container:ro; the host's side is an absolute path or a volume's name"`
	CapDrop       []string `yaml:"cap_drop" default:"[ALL]" doc:"capabilities that members do not have; [] leaves the engine's default"`
	CapAdd        []string `yaml:"cap_add" doc:"capabilities that members have all the same, e.g. [CHOWN, SETUID, SETGID]"`
	NewPrivileges bool     `yaml:"new_privileges" doc:"members' programs may gain privileges, e.g. by sudo"`
	Init          bool     `yaml:"init" doc:"put the engine's init before the program: it passes signals on and reaps orphans"`

	Labels    map[string]string `yaml:"labels" doc:"labels of the members beside Flyball's own"`
	LogDriver string            `yaml:"log_driver" doc:"where the engine keeps the members' output; by default the engine's own choice"`
	LogOpts   map[string]string `yaml:"log_opts" doc:"options of the log driver; by default files end at 10 MB where the engine would let them grow for ever"`

	// Grace is how long a member may take to end once it is asked to; default 10s.
	Grace time.Duration `yaml:"grace" default:"10s" doc:"how long a member may take to end before it is killed"`
	// Most bounds the members, the dead that are not removed yet included.
	Most int `yaml:"most" default:"100" doc:"the most members there can be"`
	// Owner is the mark by which Flyball knows its own members on the engine.
	Owner string `yaml:"owner" doc:"mark on the members that tells one Flyball's from another's; written only to take over those of another data folder"`
}

// When an image is fetched.
const (
	pullMissing = "missing" // unless the engine has it
	pullAlways  = "always"  // before each step that starts members
	pullNever   = "never"
)

func (c Config) withDefaults() Config {
	text := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	number := func(n *int, to int) {
		if *n == 0 {
			*n = to
		}
	}
	text(&c.Socket, "unix:///run/docker.sock")
	text(&c.Pull, pullMissing)
	number(&c.Pids, 2048)
	number(&c.Most, 100)
	if c.CapDrop == nil {
		c.CapDrop = []string{"ALL"}
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	return c
}

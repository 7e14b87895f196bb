package testservers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postgresSettings are those that all servers share. Nothing is synced: a killed
// server loses nothing by that, only a killed machine would. Shared memory is
// kept in the data directory, so that a killed server leaves none in /dev/shm.
const postgresSettings = `
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_connections = 50
wal_level = replica
wal_log_hints = on
hot_standby = on
max_wal_senders = 10
max_replication_slots = 10
max_prepared_transactions = 10
track_io_timing = on
log_min_messages = info
log_line_prefix = '%m [%p] %q%u@%d '
timezone = UTC
log_timezone = UTC
`

const postgresAccess = `
local all         all                   trust
local replication all                   trust
host  all         postgres 127.0.0.1/32 trust
host  replication postgres 127.0.0.1/32 trust
host  all         all      127.0.0.1/32 scram-sha-256
host  replication all      127.0.0.1/32 scram-sha-256
`

// postgresInstall is PostgreSQL as it is installed here.
type postgresInstall struct {
	bin        string
	credential *syscall.Credential // of the user postgres if we are root, who must not run it
}

// findPostgres finds the newest version.
func findPostgres() (*postgresInstall, error) {
	missing := &Missing{Program: "postgres", Package: "postgresql"}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return postgresVersion(b) - postgresVersion(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return nil, missing
	}
	i := &postgresInstall{bin: filepath.Dir(found[0])}
	if os.Geteuid() != 0 {
		return i, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, missing
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("find the user postgres: %q and %q are no ids", u.Uid, u.Gid)
	}
	i.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return i, nil
}

// postgresVersion returns 15 for /usr/lib/postgresql/15/bin/initdb.
func postgresVersion(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

func (i *postgresInstall) path(program string) string { return filepath.Join(i.bin, program) }

// give makes the server's user the owner of a directory.
func (i *postgresInstall) give(dir string) error {
	if i.credential == nil {
		return nil
	}
	return os.Chown(dir, int(i.credential.Uid), int(i.credential.Gid))
}

// hasContrib says whether a library is there to be loaded.
func (i *postgresInstall) hasContrib(library string) bool {
	out, err := exec.Command(i.path("pg_config"), "--pkglibdir").Output()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(strings.TrimSpace(string(out)), library+".so"))
	return err == nil
}

// makePostgresTemplate makes the data directory that each primary gets a copy of.
func (g *Group) makePostgresTemplate() (string, error) {
	install, err := findPostgres()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(g.dir, "postgres-template")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for initdb: %w", err)
	}
	if err := install.give(dir); err != nil {
		return "", fmt.Errorf("make a directory for initdb: %w", err)
	}
	data := filepath.Join(dir, "data")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := g.command(ctx, dir, install.path("initdb"), "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
		"--auth=trust", "--data-checksums", "--no-sync", "--no-instructions")
	cmd.SysProcAttr.Credential = install.credential
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("run initdb: %w: %s", err, out)
	}
	settings := postgresSettings
	if install.hasContrib("pg_stat_statements") {
		settings += "shared_preload_libraries = pg_stat_statements\n"
	}
	if err := appendFile(filepath.Join(data, "postgresql.conf"), settings); err != nil {
		return "", err
	}
	return data, os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(postgresAccess), 0o600)
}

// appendFile appends to a file that is there.
func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

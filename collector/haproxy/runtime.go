package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"flyball/collector/exporter"
)

// largestAnswer bounds what one command may answer: the statistics of some fifty
// thousand servers.
const largestAnswer = 32 << 20

// Runtime is HAProxy's Runtime API: the socket of a `stats socket` line. Each
// command has a connection of its own, so nothing is kept open and a HAProxy that
// was reloaded or started anew is found by the next command. It is safe for
// concurrent use.
type Runtime struct{ network, address string }

// NewRuntime is the API at a socket: a path, unix:///path, or host:port where the
// `stats socket` line listens on TCP. Nothing is reached yet.
func NewRuntime(socket string) *Runtime {
	if path, ok := strings.CutPrefix(socket, "unix://"); ok {
		return &Runtime{"unix", path}
	}
	if address, ok := strings.CutPrefix(socket, "tcp://"); ok {
		return &Runtime{"tcp", address}
	}
	if !strings.Contains(socket, "/") && strings.Contains(socket, ":") {
		return &Runtime{"tcp", socket}
	}
	return &Runtime{"unix", socket}
}

// String is where the API is, as it was written.
func (r *Runtime) String() string { return r.address }

// Ask gives one command and returns its answer whole, without the empty line by
// which HAProxy ends it: "" is an answer that says nothing, and a table's last
// row ends in a newline. HAProxy tells its own errors as text, too; see [Refusal].
// The answer must come before ctx ends.
func (r *Runtime) Ask(ctx context.Context, command string) (string, error) {
	answers, err := r.ask(ctx, command)
	if err != nil {
		return "", err
	}
	return answers[0], nil
}

// Do gives a command that answers nothing when it is done; an answer is an error.
func (r *Runtime) Do(ctx context.Context, command string) error {
	answer, err := r.Ask(ctx, command)
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer == "" {
		return nil
	}
	err = Refusal(answer)
	if err == nil {
		err = said(answer)
	}
	return fmt.Errorf("ask HAProxy at %s to %s: %w", r, subject(command), err)
}

// ask gives commands over one connection, so that the same process of HAProxy
// answers all of them, and returns an answer each. Of several, none may have an
// empty line within.
func (r *Runtime) ask(ctx context.Context, commands ...string) ([]string, error) {
	text, err := r.converse(ctx, commands)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no whole answer in time: %w", ctx.Err())
	}
	answers := []string{text}
	if len(commands) > 1 {
		answers = strings.Split(text, "\n\n")
		for i := range answers[:len(answers)-1] {
			answers[i] += "\n"
		}
	}
	if err == nil && len(answers) != len(commands) {
		err = exporter.Because(exporter.Protocol, fmt.Errorf("%d answers to %d commands", len(answers), len(commands)))
	}
	if err != nil {
		return nil, fmt.Errorf("ask HAProxy at %s to %s: %w", r, subject(commands[0]), err)
	}
	return answers, nil
}

func (r *Runtime) converse(ctx context.Context, commands []string) (string, error) {
	for _, c := range commands {
		if strings.ContainsAny(c, ";\n\r") {
			return "", errors.New("more than one command was given")
		}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, r.network, r.address)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%w: this user may not open it; write mode, user or group in its `stats socket` line", err)
	case exporter.Reason(err) == exporter.Refused:
		return "", fmt.Errorf("%w: nobody listens there; see that HAProxy runs, and what its `stats socket` line says", err)
	case err != nil:
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes whoever reads
	defer stop()
	if _, err := io.WriteString(conn, strings.Join(commands, ";")+"\n"); err != nil {
		return "", err
	}
	return whole(conn)
}

// whole reads an answer to its end. HAProxy ends every answer with an empty line;
// without one, it died or was reloaded while it spoke.
func whole(from io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(from, largestAnswer+1))
	if err != nil {
		return "", err
	}
	if len(raw) > largestAnswer {
		return "", exporter.Because(exporter.Protocol, fmt.Errorf("the answer is longer than %d MB", largestAnswer>>20))
	}
	answer, ended := strings.CutSuffix(string(raw), "\n")
	if !ended {
		return "", exporter.Because(exporter.Protocol, errors.New("the answer broke off"))
	}
	return answer, nil
}

// subject is what an error tells of a command: its first three words, for a
// certificate or a map's entry may follow them.
func subject(command string) string {
	words := strings.Fields(command)
	return strings.Join(words[:min(len(words), 3)], " ")
}

// Refusal is the error in an answer, by the words with which HAProxy says no; nil
// if it says no such thing. Its reason is one of [exporter.Reason].
func Refusal(answer string) error {
	for _, no := range []struct{ words, reason, hint string }{
		{"Permission denied", exporter.Permission, "write `level admin` in its `stats socket` line"},
		{"Unknown command", exporter.Missing, "this HAProxy does not know the command, or the socket's level is too low"},
		{"No such backend", exporter.Missing, "no backend has that name"},
		{"Can't find backend", exporter.Missing, "no backend has that name"},
		{"No such proxy", exporter.Missing, "no proxy has that name"},
		{"No such server", exporter.Missing, "no server has that name"},
		{"Require 'backend/server'", exporter.Missing, "the command names no server"},
	} {
		if strings.HasPrefix(strings.TrimSpace(answer), no.words) {
			return exporter.Because(no.reason, fmt.Errorf("%w: %s", said(no.words), no.hint))
		}
	}
	return nil
}

// said is an error in HAProxy's own words, of which it may use many.
func said(answer string) error {
	line, _, _ := strings.Cut(strings.TrimSpace(answer), "\n")
	return fmt.Errorf("it says %q", line[:min(len(line), 200)])
}

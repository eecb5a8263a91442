package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

func replayCommand(args ...string) (stderr string, err error) {
	var errs bytes.Buffer
	cmd := newReplayCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(context.Background())
	return errs.String(), err
}

// replayFile writes a file with a line for each signal.
func replayFile(t *testing.T) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 5))
	var text []byte
	for _, s := range otlp.Signals() {
		text = append(otlp.AppendJSON(text, s, testkit.Request(rng, s, 7)), '\n')
	}
	name := filepath.Join(t.TempDir(), "telemetry.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestReplay(t *testing.T) {
	t.Parallel()
	file := replayFile(t)
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	for i, to := range []string{b.GRPCEndpoint(), b.HTTPEndpoint()} {
		stderr, err := replayCommand("--to", to, file)
		if err != nil || !strings.Contains(stderr, "4 requests, 28 of 28 items accepted, 0 refused") {
			t.Errorf("%v: %s", err, stderr)
		}
		for _, s := range otlp.Signals() {
			if n := b.Items(s); n != 7*(i+1) {
				t.Errorf("%s: %d items of %s arrived", to, n, s)
			}
		}
	}
}

// A request that should be sent again is, and one that is refused does not end the
// command.
func TestReplaySendsAgain(t *testing.T) {
	t.Parallel()
	file := replayFile(t)
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Script(testkit.Answer{Code: codes.Unavailable}, testkit.Answer{}, testkit.Answer{Code: codes.InvalidArgument})
	stderr, err := replayCommand("--to", b.GRPCEndpoint(), file)
	if err == nil || !strings.Contains(err.Error(), "1 of 4 requests were not accepted") || !strings.Contains(stderr, "21 of 28 items accepted, 1 refused, 1 sent again") {
		t.Errorf("%v: %s", err, stderr)
	}
}

// Files in protobuf, and what cannot be read.
func TestReplayFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	request := testkit.Request(rand.New(rand.NewPCG(6, 6)), otlp.Traces, 7)
	record := append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good, cut := write("good", record), write("cut", record[:len(record)-1])
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	if stderr, err := replayCommand("--to", b.GRPCEndpoint(), "--signal", "traces", good); err != nil || b.Items(otlp.Traces) != 7 {
		t.Errorf("%v: %s", err, stderr)
	}
	for want, args := range map[string][]string{
		"read record 1":            {"--signal", "traces", cut},
		"decode record 1":          {"--signal", "logs", good},
		"no such file":             {filepath.Join(dir, "nowhere")},
		"expected traces":          {"--signal", "spans", good},
		`"x": expected name=value`: {"--header", "x", good},
	} {
		_, err := replayCommand(append([]string{"--to", b.GRPCEndpoint()}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

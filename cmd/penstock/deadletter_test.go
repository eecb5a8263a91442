package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// makeLetters adds dead letters of logs to those of a pipeline in a storage.
func makeLetters(storage, pipelineID string, n int) (*delivery.DeadLetters, error) {
	d, err := delivery.OpenDeadLetters(filepath.Join(control.DeadLetters(storage), control.FileName(pipelineID)), nil)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(7, 7))
	codecs := append(testkit.Codecs(), pipeline.CodecNone)
	for i := range n {
		letter := record.Record{Signal: otlp.Logs, Items: 7, Body: testkit.Request(r, otlp.Logs, 7)}
		if codec := codecs[i%len(codecs)]; codec != pipeline.CodecNone { // as it came
			letter.Codec, letter.Plain, letter.Body = codec, len(letter.Body), testkit.Compress(codec, letter.Body)
		}
		b, err := record.Append(nil, &letter, record.Keep{})
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		refusal := &pipeline.Error{Kind: pipeline.Permanent, Code: uint32(codes.InvalidArgument), Err: errors.New("the index \x1b[31mhas\nno such field " + strings.Repeat("and so on ", 30))}
		if err := d.Add(context.Background(), delivery.DeadLetter{Destination: "logs/otlp", Record: b, Items: 7, Err: refusal}); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// lettersCmd is: letters FOLDER PIPELINE [keep]. It makes three dead letters of a
// pipeline. With keep they stay open until the script ends.
func lettersCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: letters FOLDER PIPELINE [keep]")
	}
	d, err := makeLetters(ts.MkAbs(args[0]), args[1], 3)
	ts.Check(err)
	if len(args) > 2 {
		ts.Defer(func() { ts.Check(d.Close()) })
		return
	}
	ts.Check(d.Close())
}

// deadLetters runs the command dead-letter.
func deadLetters(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs}
	cmd := a.deadLetterCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(context.Background())
	return out.String(), errs.String(), err
}

// What the server accepts is dropped, and what it refuses stays; the same with the letters
// of another process.
func TestReplayDeadLetters(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		b, dir := testkit.NewBackend(t, testkit.BackendConfig{}), t.TempDir()
		d, err := makeLetters(dir, "logs", 5)
		if err != nil {
			t.Fatal(err)
		}
		if running {
			s, err := control.Listen(dir, map[string]*delivery.DeadLetters{"logs": d}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = errors.Join(s.Shutdown(context.Background()), d.Close()) })
		} else if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		// One is sent again, one is refused, and of one a part is.
		b.Script(testkit.Answer{Code: codes.Unavailable}, testkit.Answer{}, testkit.Answer{Code: codes.InvalidArgument}, testkit.Answer{Rejected: 2})
		_, stderr, err := deadLetters("replay", dir, "--to", b.GRPCEndpoint())
		if err == nil || !strings.Contains(err.Error(), "2 of 5 requests were not accepted") || !strings.Contains(stderr, "dead letter logs/2 was refused") ||
			!strings.Contains(stderr, "26 of 35 items accepted, 2 refused, 1 sent again") {
			t.Errorf("running %t: %v\n%s", running, err, stderr)
		}
		stdout, _, err := deadLetters("ls", dir)
		if err != nil || strings.Count(stdout, "\n") != 3 || !strings.Contains(stdout, "logs/2 ") || !strings.Contains(stdout, "logs/3 ") {
			t.Errorf("running %t: %v, left\n%s", running, err, stdout)
		}
		if _, stderr, err = deadLetters("replay", dir, "logs/3", "--to", b.HTTPEndpoint()); err != nil || !strings.Contains(stderr, "1 requests, 7 of 7 items accepted") {
			t.Errorf("running %t: %v\n%s", running, err, stderr)
		}
		if stdout, _, err = deadLetters("ls", dir); err != nil || strings.Count(stdout, "\n") != 2 {
			t.Errorf("running %t: %v, left\n%s", running, err, stdout)
		}
	}
}

// A letter that cannot be read stays, and does not stop the others.
func TestReplayAnUnreadableLetter(t *testing.T) {
	t.Parallel()
	b, dir := testkit.NewBackend(t, testkit.BackendConfig{}), t.TempDir()
	d, err := makeLetters(dir, "logs", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Add(t.Context(), delivery.DeadLetter{Record: []byte("nonsense")}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = makeLetters(dir, "logs", 1); err != nil || d.Close() != nil {
		t.Fatal(err)
	}
	_, stderr, err := deadLetters("replay", dir, "--to", b.GRPCEndpoint())
	if err == nil || !strings.Contains(stderr, "dead letter logs/1 stays: ") || b.Items(otlp.Logs) != 7 {
		t.Errorf("%v, %d items\n%s", err, b.Items(otlp.Logs), stderr)
	}
	if stdout, _, err := deadLetters("ls", dir); err != nil || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, "logs/1 ") {
		t.Errorf("%v, left\n%s", err, stdout)
	}
}

// The table fits the terminal, and has no control characters of a server.
func TestTableOfDeadLetters(t *testing.T) {
	list := []control.Letter{{ID: control.ID{Pipeline: "logs", Sequence: 7}, Time: time.Unix(1, 0), Destination: "logs/otlp", Items: 3, Bytes: 70, Code: "InvalidArgument", Reason: "no\n\x1b[31m " + strings.Repeat("é", 90)}}
	var out bytes.Buffer
	if err := printLetters(&out, list, 80); err != nil {
		t.Fatal(err)
	}
	want := "ID      Time                  Destination  Items  Bytes  Code             Reason\n" +
		"logs/7  1970-01-01T00:00:01Z  logs/otlp    3      70     InvalidArgument  no  […\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
	if n := widthOf(&out); n != 0 {
		t.Errorf("a buffer is %d wide", n)
	}
	if n := widthOf(os.NewFile(^uintptr(0), "none")); n != 0 {
		t.Errorf("what is not a terminal is %d wide", n)
	}
}

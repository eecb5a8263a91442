package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	httppprof "net/http/pprof"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/pprofreceiver"
	"github.com/penstock-telemetry/penstock/reporter"
)

// reportCommand runs the command until ctx ends.
func reportCommand(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := newReportCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// pprofServer serves the profiles of this process.
func pprofServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(httppprof.Index)}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); serving.Wait() })
	return l.Addr().String()
}

func writeReportFile(t *testing.T, dir string) {
	t.Helper()
	fn := &profile.Function{ID: 1, Name: "main.spin", Filename: "main.go"}
	loc := &profile.Location{ID: 1, Line: []profile.Line{{Function: fn, Line: 3}}}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10e6,
		TimeNanos: time.Now().UnixNano(), DurationNanos: 1e9,
		Function: []*profile.Function{fn}, Location: []*profile.Location{loc},
		Sample: []*profile.Sample{{Location: []*profile.Location{loc}, Value: []int64{3, 30e6}}},
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.pb.gz"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReportOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeReportFile(t, dir)
	for name, endpoint := range map[string]func(*testkit.Backend) string{
		"grpc": (*testkit.Backend).GRPCEndpoint, "http": (*testkit.Backend).HTTPEndpoint,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			target := pprofServer(t)
			stdout, stderr, err := reportCommand(t.Context(), "--to", endpoint(b), "--once", "--profiles", "heap,goroutine",
				"--service-name", "shop", "--attributes", "env=test", "--headers", "x-tenant=a", "--compression", "zstd",
				target, filepath.Join(dir, "*.pb.gz"))
			if err != nil {
				t.Fatalf("%v\nstdout:\n%s\nstderr:\n%s", err, stdout, stderr)
			}
			if !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+` +last \d\d:\d\d:\d\d +2 fetches +\d+ samples +ok$`).MatchString(stdout) ||
				!regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(filepath.Join(dir, "*.pb.gz"))+` +last \d\d:\d\d:\d\d +1 fetch +2 samples +ok$`).MatchString(stdout) ||
				!regexp.MustCompile(`(?m)^\d+ samples: \d+ sent, 0 held$`).MatchString(stdout) {
				t.Errorf("stdout:\n%s", stdout)
			}
			text := ""
			for _, request := range b.Requests(otlp.Profiles) {
				testkit.CheckProfiles(t, request)
				testkit.CheckBackends(t, request)
				text += string(request)
			}
			for _, want := range []string{"main.spin", "inuse_space", "goroutine", "shop", "env", "service.instance.id", target} {
				if !strings.Contains(text, want) {
					t.Errorf("%q was not sent", want)
				}
			}
			if calls := b.Calls(); len(calls) == 0 || http.Header(calls[0].Header).Get("x-tenant")+strings.Join(calls[0].Header["x-tenant"], "") == "" {
				t.Error("the header was not sent")
			}
		})
	}
}

// Ctrl-C sends the remaining profiles and prints the result.
func TestReportUntilInterrupted(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	target := pprofServer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr string
	var err error
	var running sync.WaitGroup
	running.Go(func() {
		stdout, stderr, err = reportCommand(ctx, "--to", b.GRPCEndpoint(), "--profiles", "goroutine", "--interval", "1s", target)
	})
	b.WaitArrived(t, 2) // a second or more has passed, and a line of progress was written
	interrupt()
	running.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if !strings.Contains(stdout, "0 held") || !regexp.MustCompile(`(?m)^ +1 s  1 target  \d fetch(es)?  \d+ samples: \d+ sent, \d+ held$`).MatchString(stderr) {
		t.Errorf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
	}
}

func TestReportFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeReportFile(t, dir)
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := down.Addr().String()
	down.Close()
	stdout, stderr, err := reportCommand(t.Context(), "--to", nobody, "--once", "--stop-within", "200ms", dir+"/*")
	if err == nil || !strings.Contains(err.Error(), "2 of 2 samples were not sent") || !strings.Contains(stdout, "2 samples: 0 sent, 0 held, 2 dropped") {
		t.Errorf("nobody takes it: %v\n%s%s", err, stdout, stderr)
	}
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	stdout, stderr, err = reportCommand(t.Context(), "--to", b.GRPCEndpoint(), "--once", "--profiles", "heap", nobody)
	if err == nil || err.Error() != "1 fetch failed" || !strings.Contains(stdout, "refused") || !strings.Contains(stderr, "cause=refused") {
		t.Errorf("nobody gives it: %v\n%s%s", err, stdout, stderr)
	}
}

// On a terminal, log lines are printed above the table.
func TestReportScreen(t *testing.T) {
	t.Parallel()
	var w bytes.Buffer
	s := newReportScreen(&w, true)
	all := []pprofreceiver.TargetStatus{{Name: "a:1", Fetches: 2, Numbers: 7, Failures: 1, Last: time.Date(2026, 1, 1, 12, 30, 0, 0, time.Local)}, {Name: "bb:2", Problem: "heap: \x1b[2Jboom"}}
	s.show(all, reporter.Flow{Reported: 7, Acknowledged: 4, Held: 3})
	table := "bb:2  last never     0 fetches  0 samples  heap: [2Jboom\n" +
		"a:1   last 12:30:00  2 fetches (1 failed)  7 samples  ok\n" +
		"7 samples: 4 sent, 3 held\n"
	if w.String() != table {
		t.Fatalf("got\n%q\nwant\n%q", w.String(), table)
	}
	w.Reset()
	if _, err := s.Write([]byte("news\n")); err != nil || w.String() != "\x1b[3F\x1b[Jnews\n"+table {
		t.Errorf("a line of the log: %q", w.String())
	}
	w.Reset()
	s.clear()
	s.clear()
	if w.String() != "\x1b[3F\x1b[J" {
		t.Errorf("at the end: %q", w.String())
	}
	many := make([]pprofreceiver.TargetStatus, 30)
	many[29].Problem = "x"
	if lines := reportTable(many); len(lines) != maxReportRows+1 || !strings.HasSuffix(lines[0], "x") || lines[maxReportRows] != "and 10 more" {
		t.Errorf("many targets:\n%s", strings.Join(lines, "\n"))
	}
}

func TestIsTarget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "profile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]bool{
		"localhost:6060": true, "http://x": true, "[::1]:6060": true, ":6060": true,
		"cpu.pb.gz": false, "cpu.pprof": false, "a/b:1": false, "C:\\x.pb.gz": false, "*": false, "cpu-[0-9]": false,
		filepath.Join(dir, "profile"): false, "report_test.go": false,
	} {
		if got, err := isTarget(arg); got != want || err != nil {
			t.Errorf("%s: got %v, %v", arg, got, err)
		}
	}
	const neither = " is neither a target nor a file: expected host:port, a URL, or a pattern of files"
	for arg, want := range map[string]string{
		"localhost": `"localhost"` + neither, "x:y": `"x:y"` + neither, "::1": `"::1"` + neither, "[::1]": `"[::1]"` + neither, "": `""` + neither,
		"localhost:99999":      `"localhost:99999" is neither a target nor a file: expected a port from 1 to 65535`,
		"localhost:0":          `"localhost:0" is neither a target nor a file: expected a port from 1 to 65535`,
		"localhost:6060/debug": `"localhost:6060/debug" is neither a target nor a file: did you mean http://localhost:6060/debug?`,
	} {
		if _, err := isTarget(arg); err == nil || err.Error() != want {
			t.Errorf("%s: got %v", arg, err)
		}
	}
}

func TestFilesName(t *testing.T) {
	t.Parallel()
	if got := filesName([]string{"a", "b"}); got != "a, b" {
		t.Error(got)
	}
	if got := filesName([]string{"a", "b", "c", "d"}); got != "a, b and 2 more" {
		t.Error(got)
	}
}

// Mutex and block profiles are distinguished, although they have the same sample types.
func TestReportTellsMutexFromBlock(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	served := http.NewServeMux()
	for kind, contentions := range map[string]int64{"mutex": 8, "block": 10} {
		p := contended(contentions)
		served.HandleFunc("/debug/pprof/"+kind, func(w http.ResponseWriter, _ *http.Request) { p.Write(w) })
	}
	server := httptest.NewServer(served)
	t.Cleanup(server.Close)
	if _, stderr, err := reportCommand(t.Context(), "--to", b.GRPCEndpoint(), "--once", "--compression", "snappy", "--profiles", "mutex,block", server.URL); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var text []byte
	for _, request := range b.Requests(otlp.Profiles) {
		testkit.CheckProfiles(t, request)
		testkit.CheckBackends(t, request)
		text = append(otlp.AppendJSON(text, otlp.Profiles, request), '\n')
	}
	for _, merge := range []bool{false, true} {
		in, err := readConvertInput(bytes.NewReader(text), "")
		if err != nil {
			t.Fatal(err)
		}
		var list strings.Builder
		if err := (&convertFlags{merge: merge}).printList(&list, "", in); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`contentions/count \(mutex\) +1 +8 `, `delay/nanoseconds \(mutex\) +1 `, `contentions/count \(block\) +1 +10 `} {
			if !regexp.MustCompile(want).MatchString(list.String()) {
				t.Errorf("merge %v: no %s in\n%s", merge, want, list.String())
			}
		}
	}
}

func contended(n int64) *profile.Profile {
	fn := &profile.Function{ID: 1, Name: "main.wait", Filename: "main.go"}
	loc := &profile.Location{ID: 1, Line: []profile.Line{{Function: fn, Line: 3}}}
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "contentions", Unit: "count"}, {Type: "delay", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "contentions", Unit: "count"}, Period: 1,
		TimeNanos: time.Now().UnixNano(),
		Function:  []*profile.Function{fn}, Location: []*profile.Location{loc},
		Sample: []*profile.Sample{{Location: []*profile.Location{loc}, Value: []int64{n, 1000 * n}}},
	}
}

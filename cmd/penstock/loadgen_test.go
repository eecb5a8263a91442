package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/loadgen"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// loadgenCommand runs the command.
func loadgenCommand(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := newLoadgenCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(context.Background())
	return out.String(), errs.String(), err
}

func TestLoadgenPrintsOneJSONObject(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	stdout, stderr, err := loadgenCommand("--endpoint", b.GRPCEndpoint(), "--signal", "all", "--requests", "8", "--batch", "5", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var report loadgen.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%v: stdout is %q", err, stdout)
	}
	if report.Total.ItemsAcknowledged != 40 || !strings.Contains(stderr, "40 items acknowledged") {
		t.Errorf("%+v\nstderr: %s", report, stderr)
	}
	for _, s := range otlp.Signals() {
		if b.Items(s) != 10 {
			t.Errorf("the server has %d %s", b.Items(s), s.Spec().Item)
		}
	}
}

func TestLoadgenPrintsATable(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	stdout, stderr, err := loadgenCommand("--protocol", "http", "--endpoint", strings.TrimPrefix(b.HTTPEndpoint(), "http://"),
		"--signal", "profiles", "--requests", "3", "--batch", "7", "--compression", "zstd", "--header", "x-tenant=a=b", "--quiet")
	if err != nil || stderr != "" {
		t.Fatalf("%v, stderr %q", err, stderr)
	}
	if !strings.Contains(stdout, "profiles") || !strings.Contains(stdout, "21") {
		t.Errorf("stdout is %s", stdout)
	}
	if c := b.Calls()[0]; c.Encoding != "zstd" || c.Header["x-tenant"][0] != "a=b" {
		t.Errorf("it came as %q with %v", c.Encoding, c.Header["x-tenant"])
	}
}

func TestLoadgenFailsIfNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.InvalidArgument} })
	stdout, _, err := loadgenCommand("--endpoint", b.GRPCEndpoint(), "--requests", "2")
	if !errors.Is(err, loadgen.ErrNothingAcknowledged) || !strings.Contains(stdout, "InvalidArgument") {
		t.Errorf("%v: stdout is %s", err, stdout)
	}
}

func TestLoadgenFlags(t *testing.T) {
	t.Parallel()
	every := otlp.Signals()
	tests := []struct {
		args     string
		endpoint string
		insecure bool
		signals  []otlp.Signal
		duration time.Duration
	}{
		{"", "localhost:4317", true, every[:1], 10 * time.Second},
		{"--protocol http --signal all", "http://localhost:4318", true, every[:], 10 * time.Second},
		{"--signal logs,profiles --requests 5", "localhost:4317", true, every[2:], 0},
		{"--requests 5 --duration 1s", "localhost:4317", true, every[:1], time.Second},
		{"--endpoint [::1]:4317", "[::1]:4317", true, every[:1], 10 * time.Second},
		{"--endpoint example.com:4317", "example.com:4317", false, every[:1], 10 * time.Second},
		{"--endpoint example.com:4317 --insecure", "example.com:4317", true, every[:1], 10 * time.Second},
		{"--insecure=false", "localhost:4317", false, every[:1], 10 * time.Second},
		{"--ca-file ca.pem", "localhost:4317", false, every[:1], 10 * time.Second},
		{"--protocol http --endpoint 10.1.2.3:4318", "https://10.1.2.3:4318", false, every[:1], 10 * time.Second},
		{"--protocol http --endpoint http://example.com/otlp", "http://example.com/otlp", false, every[:1], 10 * time.Second},
	}
	for _, test := range tests {
		f := &loadgenFlags{Config: loadgen.DefaultConfig()}
		cmd := newLoadgenCommand()
		cmd.ResetFlags()
		f.bind(cmd.Flags())
		if err := cmd.ParseFlags(strings.Fields(test.args)); err != nil {
			t.Fatal(err)
		}
		if err := f.complete(cmd.Flags().Changed); err != nil {
			t.Errorf("%q: %v", test.args, err)
		}
		if f.Endpoint != test.endpoint || f.TLS.Insecure != test.insecure || !slices.Equal(f.Signals, test.signals) || f.Duration != test.duration {
			t.Errorf("%q: endpoint %s, insecure %t, %v, for %s", test.args, f.Endpoint, f.TLS.Insecure, f.Signals, f.Duration)
		}
	}
	for args, want := range map[string]string{
		"--signal spans":          `unknown signal "spans"`,
		"--header x":              `header "x": expected name=value`,
		"--batch 0":               "a batch of 0 items",
		"--compression lz4":       `unknown compression "lz4"`,
		"--protocol udp":          `unknown protocol "udp"`,
		"more":                    "unknown command",
		"--endpoint localhost":    "the port is missing",
		"--insecure --duration x": "invalid argument",
	} {
		if _, _, err := loadgenCommand(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", args, want, err)
		}
	}
}

// A low rate makes small requests, so that each signal has one a second.
func TestLowRateShrinksTheBatch(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{
		"":                            100,
		"--rate 50":                   50,
		"--rate 1000 --signal all":    100,
		"--rate 20 --signal all":      5,
		"--rate 0.5":                  1,
		"--rate 20 --batch 30":        30,
		"--rate 399.9 --signal all":   99,
		"--rate 1 --signal all":       1,
		"--rate 100 --signal metrics": 100,
	} {
		f := &loadgenFlags{Config: loadgen.DefaultConfig()}
		cmd := newLoadgenCommand()
		cmd.ResetFlags()
		f.bind(cmd.Flags())
		if err := errors.Join(cmd.ParseFlags(strings.Fields(args)), f.complete(cmd.Flags().Changed)); err != nil || f.BatchItems != want {
			t.Errorf("%q: a batch of %d items, want %d; %v", args, f.BatchItems, want, err)
		}
	}
}

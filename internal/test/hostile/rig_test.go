package hostile_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/hostile"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is a receiver under attack.
type rig struct {
	t      *testing.T
	target hostile.Target
	sink   testkit.Sink
}

// newRig starts a receiver. grpc and http are further keys of the two sections.
func newRig(t *testing.T, memory *admission.Budget, encrypted bool, grpc, http string) *rig {
	t.Helper()
	r := &rig{t: t, sink: testkit.Sink{CountOnly: true}}
	if encrypted {
		authority := tlstest.New(t)
		cert, key := authority.Pair("127.0.0.1")
		dir := t.TempDir()
		for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		section := fmt.Sprintf(", tls: {cert_file: %q, key_file: %q}", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		grpc, http = grpc+section, http+section
		r.target.TLS = &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"}
	}
	yaml := fmt.Sprintf("protocols: {grpc: {endpoint: '127.0.0.1:0' %s}, http: {endpoint: '127.0.0.1:0' %s}}", grpc, http)
	cfg := otlpreceiver.DefaultConfig()
	if err := testkit.Decode(t, yaml, &cfg); err != nil {
		t.Fatal(err)
	}
	recv, err := otlpreceiver.New(cfg, component.Settings{ID: "otlp/attacked", Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range otlp.Signals() {
		if err := recv.Register(s, &r.sink); err != nil {
			t.Fatal(err)
		}
	}
	if err := recv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := recv.Shutdown(ctx); err != nil {
			t.Errorf("shut down after the attack: %v", err)
		}
	})
	r.target.GRPC, r.target.HTTP = recv.GRPCAddr().String(), recv.HTTPAddr().String()
	return r
}

// beside runs an attack while two good clients send, and checks that all of
// their requests succeed.
func (r *rig) beside(attack func(ctx context.Context)) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	ports := []hostile.Port{hostile.GRPC, hostile.HTTP}
	reports := make(chan hostile.Report, len(ports))
	for _, p := range ports {
		// The bounds are for the server, not for a busy machine: the client waits long
		// enough, and over HTTP opens a connection for each request.
		good := hostile.Good{Target: r.target, Port: p, PerSecond: 10, Timeout: 30 * time.Second, Reconnect: p == hostile.HTTP, From: elsewhere()}
		go func() { reports <- good.Run(ctx) }()
	}
	attack(ctx)
	cancel()
	for range ports {
		if got := <-reports; got.OK != got.Sent || got.Sent == 0 {
			r.t.Errorf("good client: %d of %d requests succeeded: %v", got.OK, got.Sent, got.Errors)
		}
	}
}

// elsewhere is another address than the offenders', so that the good clients have
// their own share of the budget. Only Linux has it without configuration.
func elsewhere() string {
	if runtime.GOOS == "linux" {
		return "127.0.0.2"
	}
	return ""
}

// cutOff checks that the server ended every offender.
func (r *rig) cutOff(what string, fates []hostile.Fate) {
	r.t.Helper()
	for i, f := range fates {
		if f.Err != "" {
			r.t.Errorf("%s: offender %d could not start: %s", what, i, f.Err)
		} else if !f.CutOff {
			r.t.Errorf("%s: offender %d is still connected after %s and %d sent (%q)", what, i, f.After.Round(time.Millisecond), f.Sent, f.Reason)
		}
	}
}

// attacks returns the attacks of a kind against a port that work on the target.
func attacks(k hostile.Kind, p hostile.Port, encrypted bool) (of []hostile.Attack) {
	for _, a := range hostile.Attacks() {
		fits := a.Kind == k && (!a.OnlyTLS || encrypted)
		if p == hostile.HTTP && a.HTTP2 && !encrypted {
			fits = false // without TLS the port accepts HTTP/1 only
		}
		for _, q := range a.Ports {
			if fits && q == p {
				of = append(of, a)
			}
		}
	}
	return of
}

// peak samples a figure until the returned function is called, which gives the
// highest.
func peak(figure func() int) func() int {
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		highest := figure()
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- highest
				return
			case <-tick.C:
				highest = max(highest, figure())
			}
		}
	}()
	return func() int {
		close(stop)
		return <-done
	}
}

// settles waits until a figure is no more than most.
func settles(t *testing.T, what string, most int, figure func() int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := figure()
		if got <= most {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Errorf("%s: %d remain, expected %d; the most frequent:\n%s", what, got, most, mostFrequent(string(stacks)))
			return
		}
	}
}

// mostFrequent returns the goroutine stack that occurs most often.
func mostFrequent(stacks string) string {
	count, example := map[string]int{}, map[string]string{}
	for _, s := range strings.Split(stacks, "\n\n") {
		_, body, _ := strings.Cut(s, "\n")
		key, _, _ := strings.Cut(body, "(")
		count[key]++
		example[key] = s
	}
	best := ""
	for k, n := range count {
		if n > count[best] {
			best = k
		}
	}
	return fmt.Sprintf("%d× %s", count[best], example[best])
}

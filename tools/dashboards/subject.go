package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// configuration is what differs between the runs.
type configuration struct {
	level    string
	suffixes bool // names end in unit and type
}

// subject is a running program.
type subject struct {
	name                string
	args, env           []string
	cmd                 *exec.Cmd
	log                 bytes.Buffer
	grpc, http, metrics string // host:port
}

// freePorts returns ports on which nobody listens.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

const sinkConfig = `
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${env:GRPC_PORT}"}, http: {endpoint: "127.0.0.1:${env:HTTP_PORT}"}}}}
exporters: {nop: }
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:METRICS_PORT}"}}}}]}}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
    metrics: {receivers: [otlp], exporters: [nop]}
    logs: {receivers: [otlp], exporters: [nop]}
`

// startSink starts a penstock that takes everything.
func startSink(ctx context.Context, program, dir string) (*subject, error) {
	file := filepath.Join(dir, "sink.yaml")
	if err := os.WriteFile(file, []byte(sinkConfig), 0o600); err != nil {
		return nil, err
	}
	return start(ctx, "sink", program, file)
}

// start starts a program with its own ports and waits until it serves metrics. env is
// added to its environment.
func start(ctx context.Context, name, program, file string, env ...string) (*subject, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, args: []string{program, "--config", file}}
	s.grpc, s.http, s.metrics = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
	s.env = append(append(os.Environ(), "GRPC_PORT="+ports[0], "HTTP_PORT="+ports[1], "METRICS_PORT="+ports[2], "HEALTH_PORT="+ports[3]), env...)
	return s, s.start(ctx)
}

// start starts the program, again after stop.
func (s *subject) start(ctx context.Context) error {
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Env = s.env
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	for range 100 {
		if _, err := scrape(ctx, s.metrics, utf8Names); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
	return fmt.Errorf("%s does not serve metrics 10 s after its start: %s", s.name, s.log.String())
}

// interrupt stops the program in the middle third of took.
func (s *subject) interrupt(ctx context.Context, took time.Duration) error {
	time.Sleep(took / 3)
	s.stop()
	time.Sleep(took / 3)
	return s.start(ctx)
}

func (s *subject) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait() // the exit code does not matter
}

// compare runs both programs with one configuration and returns what was scraped of each.
func compare(ctx context.Context, f *flags, dir string, sink *subject, c configuration) (map[string]map[names]*scraped, error) {
	nobody, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	env := []string{
		"LEVEL=" + c.level, "WITHOUT_SUFFIXES=" + strconv.FormatBool(!c.suffixes),
		"SINK_GRPC=" + sink.grpc, "SINK_HTTP=" + sink.http, "NOBODY=127.0.0.1:" + nobody[0],
	}
	all := map[string]map[names]*scraped{}
	var errs []error
	done := make(chan error, 2)
	for name, program := range map[string]string{"Collector": f.collector, "penstock": f.penstock} {
		s, err := start(ctx, name, program, f.config, append(env[:len(env):len(env)],
			"STORAGE="+filepath.Join(dir, "storage of "+name), "STATE_DIRECTORY="+filepath.Join(dir, "state of "+name))...)
		if err != nil {
			errs = append(errs, err)
			done <- nil
			continue
		}
		defer s.stop()
		of := map[names]*scraped{utf8Names: newScraped(), legacyNames: newScraped()}
		all[name] = of
		go func() { done <- s.observe(ctx, f, of) }()
	}
	if f.outage {
		errs = append(errs, sink.interrupt(ctx, f.took))
	}
	errs = append(errs, <-done, <-done)
	return all, errors.Join(errs...)
}

// observe sends traffic to s and scrapes it each second meanwhile.
func (s *subject) observe(ctx context.Context, f *flags, of map[names]*scraped) error {
	ctx, cancel := context.WithTimeout(ctx, f.took+30*time.Second)
	defer cancel()
	sent := make(chan error, 2)
	for protocol, endpoint := range map[string]string{"grpc": s.grpc, "http": s.http} {
		go func() {
			cmd := exec.CommandContext(ctx, f.penstock, "loadgen", "--signal", "traces,metrics,logs", "--protocol", protocol,
				"--endpoint", endpoint, "--rate", "3000", "--duration", f.took.String(), "--quiet")
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("send traffic to %s: %w: %s", s.name, err, out)
			}
			sent <- err
		}()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var errs []error
	for ended := 0; ended < 2; {
		select {
		case err := <-sent:
			ended++
			errs = append(errs, err)
		case now := <-tick.C:
			s.sendInvalid(ctx)
			errs = append(errs, s.scrapeInto(ctx, of, now))
		}
	}
	return errors.Join(errs...)
}

// sendInvalid sends a request that is refused.
func (s *subject) sendInvalid(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/v1/traces", strings.NewReader("{"))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}

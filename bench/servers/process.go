package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// binaries are the servers.
type binaries struct {
	penstock, discard string
	collector         string // "": none
}

// build builds both from the source tree, each in its own module.
func build(dir string) (binaries, error) {
	b := binaries{penstock: filepath.Join(dir, "penstock"), discard: filepath.Join(dir, "discard")}
	for _, it := range []struct{ module, pkg, out string }{
		{"github.com/penstock-telemetry/penstock", "./cmd/penstock", b.penstock},
		{"github.com/penstock-telemetry/penstock/bench", "./discard", b.discard},
	} {
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", it.module).Output()
		if err != nil {
			return b, fmt.Errorf("find module %s (run this in bench/): %w", it.module, err)
		}
		cmd := exec.Command("go", "-C", strings.TrimSpace(string(root)), "build", "-o", it.out, it.pkg)
		if msg, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("build %s: %w\n%s", it.pkg, err, msg)
		}
	}
	return b, nil
}

// process is a server that is measured.
type process struct {
	cmd        *exec.Cmd
	stdin      io.Closer
	grpc, http string
	below      *process // the server that it forwards to
}

// start starts a program that prints its addresses and exits at the end of its
// input.
func start(bin string) (*process, error) {
	cmd := exec.Command(bin)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p := &process{cmd: cmd, stdin: in}
	p.grpc, p.http, _ = strings.Cut(strings.TrimSpace(line), " ")
	return p, err
}

// startPenstock starts penstock, or the Collector, with the configuration of a scenario.
func startPenstock(bin string, bins binaries, confDir string, sc scenario) (*process, error) {
	p := &process{grpc: freeAddr(), http: freeAddr()}
	exporter, name, extensions, enabled := "nop: {}", "nop", "", ""
	if sc.Relay {
		sink, err := start(bins.discard)
		if err != nil {
			return nil, err
		}
		p.below = sink
		queue := ", sending_queue: {enabled: false}, retry_on_failure: {enabled: false}"
		if sc.Queue {
			queue = fmt.Sprintf(", sending_queue: {storage: file_storage}, compressed_merge: %t", sc.Merge)
			extensions = fmt.Sprintf("extensions: {file_storage: {directory: %q}}", filepath.Join(confDir, "storage"))
			enabled = "extensions: [file_storage]"
		}
		compression := cmp.Or(sc.Out, sc.Compression, "none")
		exporter = fmt.Sprintf("otlp: {endpoint: %q, compression: %s, tls: {insecure: true}%s}", sink.grpc, compression, queue)
		name = "otlp"
		if sc.Transport == "http" {
			exporter = fmt.Sprintf("otlphttp: {endpoint: %q, compression: %s%s}", "http://"+sink.http, compression, queue)
			name = "otlphttp"
		}
	}
	conf := fmt.Sprintf(`
receivers:
  otlp:
    protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}
exporters:
  %s
%s
%s
service:
  %s
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %s}}}}]}}
  pipelines:
    traces: {receivers: [otlp], exporters: [%[8]s]}
    logs: {receivers: [otlp], processors: [%[9]s], exporters: [%[8]s]}
`, p.grpc, p.http, exporter, extensions, processors, enabled, port(freeAddr()), name, sc.Processors)
	if err := os.MkdirAll(confDir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(confDir, "penstock.yaml")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(bin, "--config", path)
	p.cmd.Dir = confDir
	log, err := os.Create(filepath.Join(confDir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(p.grpc); err != nil {
		text, _ := os.ReadFile(log.Name())
		p.stop()
		return nil, fmt.Errorf("%w; its log:\n%s", err, text)
	}
	return p, nil
}

func waitFor(addr string) error {
	var err error
	for range 100 {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

func (p *process) stop() {
	if p.stdin != nil {
		p.stdin.Close()
	} else {
		_ = p.cmd.Process.Signal(os.Interrupt)
	}
	_ = p.cmd.Wait()
	if p.below != nil {
		p.below.stop()
	}
}

// cpu returns the user and system time of the process so far. The resolution is
// a hundredth of a second.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, err := strconv.Atoi(f[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// peakRSS returns the peak of the resident memory in MiB, as recorded by the
// kernel.
func (p *process) peakRSS() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1024
		}
	}
	return 0
}

// awaitIdle waits until the process has used no CPU time worth mentioning for a while:
// what it has queued is delivered.
func (p *process) awaitIdle() error {
	last, err := p.cpu()
	for still := 0; err == nil && still < 4; {
		time.Sleep(50 * time.Millisecond)
		var now time.Duration
		if now, err = p.cpu(); now-last <= 10*time.Millisecond {
			still++
		} else {
			still = 0
		}
		last = now
	}
	return err
}

package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// host is the state that all scenarios share.
type host struct {
	opt  options
	dir  string
	bin  string
	auth *authority
	runs int
}

// prepare builds penstock from the source tree, unless there is a binary.
func (h *host) prepare() (err error) {
	if h.auth, err = newAuthority(); err != nil {
		return err
	}
	if h.opt.binary != "" {
		h.bin = h.opt.binary
		return nil
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/penstock-telemetry/penstock").Output()
	if err != nil {
		return fmt.Errorf("find the module (run this in bench/): %w", err)
	}
	cmd := exec.Command("go", "-C", strings.TrimSpace(string(root)), "build", "-o", h.bin, "./cmd/penstock")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build penstock: %w\n%s", err, msg)
	}
	return nil
}

// setup has the server settings of a scenario.
type setup struct {
	tls        bool
	grpc, http string // more keys of the two sections, each after a comma
	limitMiB   int    // 0 means that of the command line; if that is 0, none
	processor  string // the name and settings of one more processor, in YAML
	exporter   string // the same of the exporter, instead of nop
	healthy    bool   // logs, which the good clients send, go to nop all the same
}

// server is a penstock process under attack.
type server struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has exited
	target hostile.Target
	log    string
	certs  string // the folder of cert.pem and key.pem, "" without TLS
	limit  int    // MiB; 0 means none
}

// start starts penstock with the configuration of a scenario.
func (h *host) start(s setup) (*server, error) {
	h.runs++
	dir := filepath.Join(h.dir, strconv.Itoa(h.runs))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	srv := &server{log: filepath.Join(dir, "log"), ended: make(chan struct{}), limit: s.limitMiB}
	if srv.limit == 0 || h.opt.limitMiB == 0 {
		srv.limit = h.opt.limitMiB
	}
	srv.target = hostile.Target{GRPC: freeAddr(), HTTP: freeAddr()}
	if s.tls {
		srv.certs = dir
		if err := h.auth.write(dir, atomically); err != nil {
			return nil, err
		}
		srv.target.TLS = h.auth.client()
	}
	conf := filepath.Join(dir, "penstock.yaml")
	if err := os.WriteFile(conf, []byte(srv.config(s)), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(srv.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	srv.cmd = exec.Command(h.bin, "--config", conf)
	if h.opt.pin {
		srv.cmd = exec.Command("taskset", "-c", "0", h.bin, "--config", conf)
	}
	srv.cmd.Stdout, srv.cmd.Stderr = log, log
	if err := srv.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(srv.ended)
		_ = srv.cmd.Wait() // callers check ProcessState
	}()
	if err := srv.await(); err != nil {
		srv.stop()
		return nil, fmt.Errorf("%w\nits configuration:\n%s\nits log:\n%s", err, srv.config(s), srv.tail())
	}
	return srv, nil
}

func (s *server) config(set setup) string {
	section := ""
	if s.certs != "" {
		section = fmt.Sprintf(", tls: {cert_file: %q, key_file: %q, reload_interval: %s}",
			filepath.Join(s.certs, "cert.pem"), filepath.Join(s.certs, "key.pem"), reloadInterval)
	}
	exporter := cmp.Or(set.exporter, "nop: {}")
	var names, settings []string
	if s.limit > 0 {
		names = append(names, "memory_limiter")
		settings = append(settings, fmt.Sprintf("memory_limiter: {check_interval: 1s, limit_mib: %d}", s.limit))
	}
	if set.processor != "" {
		names = append(names, nameOf(set.processor))
		settings = append(settings, set.processor)
	}
	limiter, processors := "{"+strings.Join(settings, ", ")+"}", "["+strings.Join(names, ", ")+"]"
	pipeline := fmt.Sprintf("{receivers: [otlp], processors: %s, exporters: [%s]}", processors, nameOf(exporter))
	logs := pipeline
	if set.healthy {
		logs = fmt.Sprintf("{receivers: [otlp], processors: %s, exporters: [nop]}", processors)
		exporter += ", nop: {}"
	}
	return fmt.Sprintf(`
receivers:
  otlp:
    protocols:
      grpc: {endpoint: %q %s}
      http: {endpoint: %q %s}
processors: %s
exporters: {%[7]s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: %[6]s
    metrics: %[6]s
    logs: %[8]s
    profiles: %[6]s
`, s.target.GRPC, set.grpc+section, s.target.HTTP, set.http+section, limiter, pipeline, exporter, logs)
}

// nameOf returns the name in "name: {settings}".
func nameOf(section string) string {
	name, _, _ := strings.Cut(section, ":")
	return name
}

func (s *server) await() error {
	for range 100 {
		select {
		case <-s.ended:
			return fmt.Errorf("penstock did not start: %s", s.cmd.ProcessState)
		default:
		}
		if c, err := net.Dial("tcp", s.target.GRPC); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("penstock does not listen on %s after 5 s", s.target.GRPC)
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("hostile: find a free port: %v", err))
	}
	defer l.Close()
	return l.Addr().String()
}

// alive reports whether the process is still running.
func (s *server) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// stop ends the process, by force if it does not exit.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// tail returns the end of the server's log.
func (s *server) tail() string {
	text, _ := os.ReadFile(s.log)
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}

// status reads a figure of /proc/PID/status in MiB.
func (s *server) status(key string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024
		}
	}
	return 0
}

func (s *server) rss() float64 { return s.status("VmRSS") }

// highWater returns the peak of the resident memory, as recorded by the kernel.
func (s *server) highWater() float64 { return s.status("VmHWM") }

// files counts the process's open file descriptors, and so its connections.
func (s *server) files() int {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return len(all)
}

// cpu returns the user and system time of the process so far, in seconds. The
// resolution is a hundredth of a second.
func (s *server) cpu() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return float64(user+system) / 100
}

// watch samples the RSS of the process until the returned function is called,
// which returns the maximum.
func (s *server) watch() func() float64 {
	var all sync.WaitGroup
	stop, highest := make(chan struct{}), s.rss()
	all.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				highest = max(highest, s.rss())
			}
		}
	})
	return func() float64 {
		close(stop)
		all.Wait()
		return max(highest, s.rss())
	}
}

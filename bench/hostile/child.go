package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// childArg makes the program a client that reads its job from its input.
const childArg = "be-a-client"

// job is the job of a child, which starts immediately. A child with idle
// connections reports "ready" when they are open, and keeps them until its input
// ends.
type job struct {
	GRPC, HTTP string
	CA         []byte // PEM; nil means no TLS
	Port       hostile.Port
	Attack     *attackJob
	Bomb       *bombJob
	Amplify    *amplifyJob
	Idle       int // connections to hold until the input ends
	Load       *loadJob
	Honest     bool // a good client, with normal priority
}

type attackJob struct {
	Name    string
	Options hostile.Options
	Hold    time.Duration // how long to keep a connection that the server does not close
}

type bombJob struct {
	Encoding string
	Bytes    int
	Lie      string // name of a lying body, instead of Encoding and Bytes
	Salvo    int
}

// report is the result of a child.
type report struct {
	Fates   []hostile.Fate
	Answers map[string]int // by text
	Errors  []string       // the first few
	Failed  int            // requests without an answer
	Bad     int            // wrong responses
	Kinds   int            // of amplifiers
	Lost    int            // idle connections that the server closed
	Load    loadReport
}

func (r *report) fail(err error) {
	r.Failed++
	if len(r.Errors) < 5 {
		r.Errors = append(r.Errors, err.Error())
	}
}

// niceness of the bad clients: real ones would run on other machines.
const niceness = 10

// childMain is the main function of a child.
func childMain() int {
	in := json.NewDecoder(os.Stdin)
	var j job
	if err := in.Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, "hostile child: read the job:", err)
		return 1
	}
	if !j.Honest {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness) // if it fails, the result is less precise, not wrong
	}
	r, err := j.run(in)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile child:", err)
		return 1
	}
	return 0
}

func (j job) target() hostile.Target {
	t := hostile.Target{GRPC: j.GRPC, HTTP: j.HTTP}
	if j.CA != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(j.CA)
		t.TLS = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}
	return t
}

func (j job) run(in *json.Decoder) (r report, err error) {
	ctx := context.Background()
	switch {
	case j.Attack != nil:
		a, err := hostile.Find(j.Attack.Name)
		if err != nil {
			return r, err
		}
		ctx, cancel := context.WithTimeout(ctx, j.Attack.Hold+time.Minute) // a minute more for sending
		defer cancel()
		r.Fates = hostile.Launch(ctx, a, j.target(), j.Port, j.Attack.Hold, j.Attack.Options)
	case j.Bomb != nil:
		return j.bomb(ctx)
	case j.Amplify != nil:
		return j.Amplify.run(ctx, j.target(), j.Port)
	case j.Idle > 0:
		crowd, err := hostile.OpenIdle(ctx, j.target(), j.Port, j.Idle)
		if err != nil {
			return r, err
		}
		defer crowd.Close()
		if err := ready(in); err != nil {
			return r, err
		}
		r.Lost = crowd.Lost()
	case j.Load != nil:
		r.Load, err = j.load(ctx)
	default:
		return r, errors.New("the job is empty")
	}
	return r, err
}

// ready reports to the parent that the child is ready, and waits for the
// parent.
func ready(in *json.Decoder) error {
	fmt.Println(`"ready"`)
	var word string
	if err := in.Decode(&word); err != nil && err != io.EOF {
		return fmt.Errorf("wait for the parent: %w", err)
	}
	return nil
}

func (j job) bomb(ctx context.Context) (report, error) {
	r := report{Answers: map[string]int{}}
	b, err := j.Bomb.make(j.Port)
	if err != nil {
		return r, err
	}
	answers, errs := b.Salvo(ctx, j.target(), j.Bomb.Salvo)
	for _, err := range errs {
		r.fail(err)
	}
	for _, a := range answers {
		r.Answers[a.String()]++
		harmless := a.OK() && b.Bytes <= bombLimit || a.Refused() && j.Bomb.Lie != ""
		if !a.TooLarge() && !a.Later() && !harmless {
			r.Bad++
		}
	}
	return r, nil
}

func (b *bombJob) make(p hostile.Port) (hostile.Bomb, error) {
	if b.Lie == "" {
		return hostile.NewBomb(p, b.Encoding, b.Bytes)
	}
	lies, err := hostile.Lies(p)
	for _, l := range lies {
		if l.Name == b.Lie {
			return l, err
		}
	}
	return hostile.Bomb{}, errors.Join(err, fmt.Errorf("unknown lying body %q", b.Lie))
}

// child is a running child process.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
}

// spawn starts a child against a server.
func (h *host) spawn(ctx context.Context, srv *server, j job) (*child, error) {
	j.GRPC, j.HTTP = srv.target.GRPC, srv.target.HTTP
	if srv.target.TLS != nil {
		j.CA = h.auth.pem()
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self, childArg)}
	if h.opt.pin {
		c.cmd = exec.CommandContext(ctx, "taskset", "-c", "1-"+strconv.Itoa(max(runtime.NumCPU()-1, 1)), self, childArg)
	}
	c.cmd.Stderr = &c.stderr
	c.cmd.Env = append(os.Environ(), "GOGC=200")
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, json.NewEncoder(c.in).Encode(j)
}

// awaitReady waits until the idle connections are open.
func (c *child) awaitReady() error {
	var word string
	if err := c.out.Decode(&word); err != nil {
		_, err = c.finish()
		return fmt.Errorf("a client did not become ready: %w", err)
	}
	return nil
}

// finish waits for the end of the child and returns its report.
func (c *child) finish() (r report, err error) {
	_ = c.in.Close()
	err = c.out.Decode(&r)
	if end := c.cmd.Wait(); end != nil || err != nil {
		err = fmt.Errorf("a client failed: %w: %s", errors.Join(end, err), bytes.TrimSpace(c.stderr.Bytes()))
	}
	return r, err
}

// do runs a job to its end.
func (h *host) do(ctx context.Context, srv *server, j job) (report, error) {
	c, err := h.spawn(ctx, srv, j)
	if err != nil {
		return report{}, err
	}
	return c.finish()
}

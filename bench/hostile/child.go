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

// childArg makes the program a client that is told by its input what to do.
const childArg = "be-a-client"

// job is what a child does. It begins at once. An idle crowd says "ready" when it
// stands and stays until its input ends.
type job struct {
	GRPC, HTTP string
	CA         []byte // PEM; nil is plain
	Port       hostile.Port
	Attack     *attackJob
	Bomb       *bombJob
	Idle       int // connections to hold until the input ends
	Load       *loadJob
	Honest     bool // a good client, which yields to nobody
}

type attackJob struct {
	Name    string
	Options hostile.Options
	Hold    time.Duration // how long an offender may last
}

type bombJob struct {
	Encoding string
	Bytes    int
	Lie      string // the name of one, instead of both
	Salvo    int
}

// report is what a child saw.
type report struct {
	Fates   []hostile.Fate
	Answers map[string]int // by what they said
	Errors  []string       // the first few
	Failed  int            // requests without an answer
	Bad     int            // answers that should not have been given
	Lost    int            // idle connections that the server ended
	Load    loadReport
}

func (r *report) fail(err error) {
	r.Failed++
	if len(r.Errors) < 5 {
		r.Errors = append(r.Errors, err.Error())
	}
}

// niceness of the bad clients: they would bring their own processors.
const niceness = 10

// childMain is the whole of a child.
func childMain() int {
	in := json.NewDecoder(os.Stdin)
	var j job
	if err := in.Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, "hostile child: read the job:", err)
		return 1
	}
	if !j.Honest {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness) // a lesser comparison if it fails, not a wrong one
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
		ctx, cancel := context.WithTimeout(ctx, j.Attack.Hold+time.Minute) // the minute is for sending
		defer cancel()
		r.Fates = hostile.Launch(ctx, a, j.target(), j.Port, j.Attack.Hold, j.Attack.Options)
	case j.Bomb != nil:
		return j.bomb(ctx)
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

// ready tells the parent, and waits for its word.
func ready(in *json.Decoder) error {
	fmt.Println(`"ready"`)
	var word string
	if err := in.Decode(&word); err != nil && err != io.EOF {
		return fmt.Errorf("wait for the parent's word: %w", err)
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
	return hostile.Bomb{}, errors.Join(err, fmt.Errorf("no lie is called %q", b.Lie))
}

// child is a running one.
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

// awaitReady waits until an idle crowd stands.
func (c *child) awaitReady() error {
	var word string
	if err := c.out.Decode(&word); err != nil {
		_, err = c.finish()
		return fmt.Errorf("a client did not get ready: %w", err)
	}
	return nil
}

// finish waits for the child's end and returns what it saw.
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

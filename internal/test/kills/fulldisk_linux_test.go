package kills

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

var onExt4 = flag.Bool("ext4", false, "use ext4 on a loop device instead of a tmpfs; needs root")

const (
	diskBytes = 64 << 20
	// segmentRoom is more than what has to be free so that a segment can be made: the
	// reserve of an eighth of the disk, and a segment of a sixteenth.
	segmentRoom = diskBytes/8 + diskBytes/16 + 1<<20
	// maxTries is how many tries of a client, each 100 ms, may be refused when there is
	// room again.
	maxTries = 10
)

// inOwnNamespace runs the test again in a mount namespace of its own, so that what it
// mounts is gone when it ends, and reports whether this is that run.
func inOwnNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "PENSTOCK_TEST_IN_NAMESPACE"
	if testing.Short() {
		t.Skip("with -short: it builds and runs the program")
	}
	if os.Getenv(inside) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatalf("make the mounts private: %v", err)
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m", fmt.Sprintf("-ext4=%t", *onExt4))
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: gid, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("mounting a file system is not permitted here: %v", err)
	case err != nil:
		t.Fatalf("%.8000s", out)
	}
	t.Logf("%.8000s", out)
	return false
}

// smallDisk mounts a file system of diskBytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if *onExt4 {
		image := filepath.Join(t.TempDir(), "image")
		command := fmt.Sprintf("truncate -s %d %[2]s && mkfs.ext4 -q %[2]s && mount -o loop %[2]s %[3]s", diskBytes, image, dir)
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("make a file system: %v: %s", err, out)
		}
	} else if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		t.Skipf("mounting a file system is not permitted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount the disk: %v", err)
		}
	})
	return dir
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// fill writes a file of another owner until nothing is free.
func fill(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "other")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 1<<16))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

// load sends with all clients until each was refused some times in succession, and checks
// the refusals.
func (r *rig) load() {
	r.Helper()
	var all sync.WaitGroup
	for _, client := range r.clients {
		all.Go(func() {
			for refused, sent := 0, 0; refused < 5 && sent < 5000; sent++ {
				err := r.try(r.Context(), client)
				if err == nil {
					refused = 0
					continue
				}
				refused++
				r.isHinted(err)
			}
		})
	}
	all.Wait()
	if free := freeBytes(r.T, r.disk); free > segmentRoom {
		r.Fatalf("the disk has %d bytes free when requests are refused", free)
	}
}

// isHinted checks that a refusal says when to try again.
func (r *rig) isHinted(err error) {
	r.Helper()
	var e *otlpclient.Error
	if !errors.As(err, &e) || !e.Retryable || !e.Throttled || e.RetryAfter <= 0 ||
		!slices.Contains([]codes.Code{codes.ResourceExhausted, codes.Unavailable}, e.Code) || !slices.Contains([]int{0, 429, 503}, e.HTTPStatus) {
		r.Errorf("refused without a hint: %+v", err)
	}
}

// resumes waits until room is there, and checks that a client that tries each 100 ms is
// accepted soon after it.
func (r *rig) resumes() {
	r.Helper()
	var since time.Time
	tries := 0
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
		if since.IsZero() && freeBytes(r.T, r.disk) >= segmentRoom {
			since = time.Now()
		}
		err := r.try(r.Context(), r.clients[tries%len(r.clients)])
		if err == nil {
			if since.IsZero() { // there was room after it was looked for
				since = time.Now()
			}
			r.Logf("accepted %v after there was room, at try %d", time.Since(since).Round(time.Millisecond), tries+1)
			return
		}
		r.isHinted(err)
		if !since.IsZero() {
			if tries++; tries > maxTries {
				r.Fatalf("refused %d times when there was room: %v", tries, err)
			}
		}
	}
	r.Fatalf("there is no room, %d bytes are free", freeBytes(r.T, r.disk))
}

// A full disk refuses requests with a hint, and is emptied when the destination is there
// again, also after a restart; requests are accepted then, and everything acknowledged arrives.
func TestFullDisk(t *testing.T) {
	if !inOwnNamespace(t) {
		return
	}
	t.Run("by the queue", func(t *testing.T) {
		r := newRig(t, smallDisk(t), 0)
		r.backend.Stop()
		r.run()
		r.load()
		r.memory()
		if n := r.missing() * 1000; n < diskBytes/2 {
			t.Errorf("%d bytes were accepted on a disk of %d", n, diskBytes)
		}
		r.backend.Start(t)
		r.resumes()
		r.settle(t)
		r.stop(syscall.SIGTERM)
	})
	t.Run("and reloaded", func(t *testing.T) {
		r := newRig(t, smallDisk(t), 0)
		r.backend.Stop()
		r.run()
		r.load()
		for i, queue := range []string{"{storage: file_storage, num_consumers: 3}", "{storage: file_storage, queue_size: 100000000}", "{storage: file_storage}"} {
			r.reload(queue)
			for range 3 {
				for _, client := range r.clients {
					if err := r.try(t.Context(), client); err != nil {
						r.isHinted(err)
					}
				}
			}
			if t.Failed() {
				t.Fatalf("after reload %d: %.4000s", i, r.output.String())
			}
		}
		r.backend.Start(t)
		r.resumes()
		r.settle(t)
		r.stop(syscall.SIGTERM)
	})
	t.Run("by the queue, with dead letters", func(t *testing.T) {
		r := newRig(t, smallDisk(t), 0)
		r.refuses = func(number int64) bool { return number%500 == 0 }
		r.backend.Stop()
		r.run()
		r.load()
		r.backend.Respond(func(c testkit.Call) testkit.Answer {
			if slices.ContainsFunc(numbersIn(c.Bytes), r.refuses) {
				return testkit.Answer{Code: codes.InvalidArgument}
			}
			return testkit.Answer{}
		})
		r.backend.Start(t)
		r.settle(t)
		r.resumes()
		r.settle(t)
		r.stop(syscall.SIGTERM)
		if dead := r.deadLetters(); dead != r.dead.Load() || dead < 20 {
			t.Errorf("%d dead letters, expected %d", dead, r.dead.Load())
		}
	})
	t.Run("by another file", func(t *testing.T) {
		r := newRig(t, smallDisk(t), 0)
		r.backend.Stop()
		r.run()
		if err := r.try(t.Context(), r.clients[0]); err != nil {
			t.Fatal(err)
		}
		other := fill(t, r.disk)
		r.load()
		r.memory()
		r.stop(syscall.SIGTERM)
		r.run()
		r.load()
		r.stop(syscall.SIGKILL)
		r.run()
		r.backend.Start(t)
		r.settle(t) // while the disk is full
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		r.resumes()
		r.settle(t)
		r.stop(syscall.SIGTERM)
	})
}

// reload gives the exporter another queue.
func (r *rig) reload(queue string) {
	r.Helper()
	text, err := os.ReadFile(r.config)
	if err != nil {
		r.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.Contains(line, "sending_queue:") {
			lines[i] = "    sending_queue: " + queue
		}
	}
	r.configure(strings.Join(lines, "\n"))
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
		if strings.Count(r.output.String(), "the configuration was reloaded") > r.reloads {
			r.reloads++
			return
		}
	}
	r.Fatalf("the configuration was not reloaded: %.4000s", r.output.String())
}

package pprofreceiver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// A stateStore keeps on disk from where the next process goes on: the baselines of cumulative
// profiles, and which files were read.
//
//	state ─► sink has handed on all that came before it ─► file
//
// So a process that ends between the two repeats the last difference, and loses none.
//
// There is a file for each job, and one for the files that were read: a line, a gob, and
// CRC32C of both.
type stateStore struct {
	dir    string
	sink   DurableSink
	log    *slog.Logger
	lock   []io.Closer
	ctx    context.Context // of waits for the sink
	cancel context.CancelFunc

	saving   sync.WaitGroup
	failures lograte.Limiter

	mu     sync.Mutex
	states map[string]*keptState
}

// keptState is the state of one file.
type keptState struct {
	path   string
	next   any // a pointer to what is to be saved; nil: nothing
	saving bool
}

// DurableSink is a Sink that says when what it has taken is in nobody's memory alone.
// reporter.OTLPReporter is one.
type DurableSink interface {
	Sink
	// Flush makes the sink hand on soon what it has. It does not wait.
	Flush()
	// Sync waits until everything that was taken before was handed on, or ctx ends.
	Sync(ctx context.Context) error
}

const (
	stateLine   = "penstock pprof state 1\n"
	stateSuffix = ".state"
	stateErrors = time.Minute
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// KeepState makes the engine go on where the process before it has stopped, and keep in
// dir where the next one goes on: what cumulative profiles had, and which files were read.
// The sink must be a DurableSink. dir is created with mode 0700, and has one process at a
// time. It is called before Start, and SaveState after the sink was stopped.
func (e *Engine) KeepState(dir string) error {
	sink, ok := e.sink.(DurableSink)
	if !ok {
		return fmt.Errorf("keep the state in %s: the sink %T is not durable", dir, e.sink)
	}
	k := &stateStore{dir: dir, sink: sink, log: e.set.Logger, states: map[string]*keptState{}}
	if err := k.open(); err != nil {
		return fmt.Errorf("keep the state in %s: %w", dir, err)
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	for _, t := range e.targets {
		for _, j := range t.jobs {
			e.restore(k, j)
		}
	}
	if e.files != nil {
		var s savedFiles
		if k.load(filesKey, &s) && s.Seen != nil {
			e.files.seen = s.Seen
		}
	}
	e.state, e.flush = k, sink.Flush
	return nil
}

func (k *stateStore) open() error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	fs, err := vfs.At(k.dir)
	if err != nil {
		return err
	}
	lock, err := fs.Lock("LOCK")
	if err != nil {
		return errors.Join(err, fs.Close())
	}
	k.lock = []io.Closer{lock, fs}
	return nil
}

// SaveState saves what could not be saved before, since the sink had it in memory, and
// ends what KeepState began. handed says that the sink has handed on everything. It is
// called after Shutdown.
func (e *Engine) SaveState(handed bool) error {
	k := e.state
	if k == nil {
		return nil
	}
	e.state = nil
	k.cancel()
	var err error
	for _, s := range k.states {
		if handed && s.next != nil {
			err = errors.Join(err, writeState(s.path, s.next))
		}
	}
	for _, c := range k.lock {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return fmt.Errorf("keep the state in %s: %w", k.dir, err)
	}
	return nil
}

// stop ends the waits for the sink. k may be nil.
func (k *stateStore) stop() {
	if k != nil {
		k.cancel()
		k.saving.Wait()
	}
}

// keep saves a state, a pointer that is not changed any more, once the sink has handed on
// what it has now. k may be nil.
func (k *stateStore) keep(key string, state any) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.states[key]
	if s == nil {
		s = &keptState{path: k.path(key)}
		k.states[key] = s
	}
	s.next = state
	if !s.saving {
		s.saving = true
		k.saving.Go(func() { k.save(s) })
	}
}

// path is the file of a key, which may have secrets.
func (k *stateStore) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(k.dir, hex.EncodeToString(sum[:16])+stateSuffix)
}

// save saves the states of a file, the last one at least.
func (k *stateStore) save(s *keptState) {
	for {
		k.mu.Lock()
		state := s.next
		k.mu.Unlock()
		err := k.sink.Sync(k.ctx)
		if err == nil {
			if err := writeState(s.path, state); err != nil {
				k.failed("keeping the state failed: after a restart something may be reported again", err)
			}
		}
		k.mu.Lock()
		last := s.next == state
		if last || err != nil {
			s.saving = false
		}
		if last && err == nil {
			s.next = nil
		}
		k.mu.Unlock()
		if last || err != nil {
			return
		}
	}
}

func (k *stateStore) failed(what string, err error) {
	if n, ok := k.failures.Allow(stateErrors); ok {
		k.log.Error(what+" (logged at most once in "+stateErrors.String()+")", slog.String("folder", k.dir), slog.Any("error", err), slog.Int64("times", n))
	}
}

// writeState replaces a file.
func writeState(path string, state any) (err error) {
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	w := bufio.NewWriter(f)
	to := io.MultiWriter(w, sum)
	_, err = io.WriteString(to, stateLine)
	if err == nil {
		err = gob.NewEncoder(to).Encode(state)
	}
	if err == nil {
		_, err = w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// load reads a state, and reports whether there is one. One that is damaged is logged, and
// is none.
func (k *stateStore) load(key string, state any) bool {
	data, err := os.ReadFile(k.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err == nil {
		err = parseState(data, state)
	}
	if err != nil {
		k.log.Error("the state of an earlier process is lost: counting begins again", slog.String("file", k.path(key)), slog.Any("error", err))
	}
	return err == nil
}

var errState = errors.New("the state is damaged")

func parseState(data []byte, state any) error {
	body, ok := bytes.CutPrefix(data, []byte(stateLine))
	if !ok || len(body) < 4 {
		return fmt.Errorf("%w: expected %q", errState, stateLine)
	}
	end := len(data) - 4
	if crc32.Checksum(data[:end], castagnoli) != binary.LittleEndian.Uint32(data[end:]) {
		return fmt.Errorf("%w: the checksum is wrong", errState)
	}
	if err := gob.NewDecoder(bytes.NewReader(body[:len(body)-4])).Decode(state); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	return nil
}

// filesKey is the key of savedFiles.
const filesKey = "files"

// savedFiles are the files that were read.
type savedFiles struct{ Seen map[string]fileVersion }

// savedJob is what a job remembers.
type savedJob struct {
	Baselines []savedBaseline // the last one, and those of other processes
}

// savedBaseline is a baseline.
type savedBaseline struct {
	When, Asked     time.Time
	Process         string
	Columns         []string
	Locations       map[string]uint64
	Unused          uint64
	Stacks, Highest map[string][]int64
	Bytes, Idle     int
}

// key names a job for good.
func (j *jobState) key() string {
	return fmt.Sprintf("%s %s %d %v %v", j.url, j.kind, j.take, j.window, j.changes)
}

// keepJob saves what a job remembers.
func (e *Engine) keepJob(j *jobState) {
	if e.state == nil {
		return
	}
	s := &savedJob{}
	for _, b := range j.known() {
		s.Baselines = append(s.Baselines, savedBaseline{b.when, b.asked, b.process, b.columns, b.locations, b.unused, b.stacks, b.highest, b.bytes, b.idle})
	}
	e.state.keep(j.key(), s)
}

// restore makes a job remember what it did in the process before.
func (e *Engine) restore(k *stateStore, j *jobState) {
	var s savedJob
	if !k.load(j.key(), &s) {
		return
	}
	j.read = true
	var known []*baseline
	for _, b := range s.Baselines {
		if !b.valid() {
			k.failed("the state of an earlier process is lost: counting begins again", errState)
			return
		}
		known = append(known, &baseline{when: b.When, asked: b.Asked, process: b.Process, columns: b.Columns, locations: b.Locations,
			unused: b.Unused, stacks: b.Stacks, highest: b.Highest, bytes: b.Bytes, idle: b.Idle})
	}
	if len(known) == 0 {
		return
	}
	j.before, j.others = known[0], known[1:]
	if err := e.roomToRemember(j.baselineBytes()); err != nil {
		k.failed("there is no room for the state of an earlier process: counting begins again", err)
		j.before, j.others = nil, nil
		return
	}
	e.baselineBytes.Add(int64(j.baselineBytes()))
}

// valid reports whether each stack has a value for each column.
func (b *savedBaseline) valid() bool {
	for _, stacks := range []map[string][]int64{b.Stacks, b.Highest} {
		for _, values := range stacks {
			if len(values) != len(b.Columns) {
				return false
			}
		}
	}
	return true
}

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/internal/vfs"
)

const (
	maxRequestBytes = 16 << 20 // of a Drop: a million sequences
	requestTimeout  = time.Minute
)

// Drop says which letters are dropped.
type Drop struct {
	Pipeline  string   `json:"pipeline"`
	Sequences []uint64 `json:"sequences,omitempty"`
	All       bool     `json:"all,omitempty"`
}

// Dropped says how many were.
type Dropped struct {
	Dropped int `json:"dropped"`
}

// Server serves what commands ask a service for, on the socket of a storage.
type Server struct {
	storage string
	socket  string
	log     *slog.Logger
	reload  Reload // nil: there is nothing to reload
	serving sync.WaitGroup

	mu      sync.Mutex
	owner   any // of letters
	letters map[string]local
	http    *http.Server // nil while it does not listen
	file    os.FileInfo  // of the socket, which another server may replace
	lock    io.Closer    // of Own; nil if it has none
}

// Listen serves the dead letters, by pipeline, on the socket in the folder of a storage.
// This process has the storage, so that a socket in it is of one that has ended.
func Listen(storage string, letters map[string]*delivery.DeadLetters, log *slog.Logger) (*Server, error) {
	s := New(storage, nil, log)
	s.SetLetters(s, letters)
	if err := s.listen(); err != nil {
		return nil, err
	}
	return s, nil
}

// New returns a server for the socket of a storage, which does not listen yet.
func New(storage string, reload Reload, log *slog.Logger) *Server {
	return &Server{storage: storage, socket: filepath.Join(Folder(storage), socketName), reload: reload, log: log}
}

// lockName is the file whose lock the process with the socket of Own has.
const lockName = "control.lock"

// ErrOwned means that another process serves the socket.
var ErrOwned = errors.New("another process serves it")

// Own creates the folder if it is missing, and listens, unless it does already. Other than
// Listen it does not assume that this process has the storage. The error wraps ErrOwned if
// another process has the socket.
func (s *Server) Own() error {
	s.mu.Lock()
	listens := s.http != nil
	s.mu.Unlock()
	if listens {
		return nil
	}
	if err := os.MkdirAll(Folder(s.storage), 0o700); err != nil {
		return fmt.Errorf("listen on %s: %w", s.socket, err)
	}
	lock, err := lockFolder(Folder(s.storage))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.socket, err)
	}
	if err := s.listen(); err != nil {
		return errors.Join(err, lock.Close())
	}
	s.lock = lock
	return nil
}

func lockFolder(folder string) (io.Closer, error) {
	fs, err := vfs.At(folder)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock(lockName)
	if errors.Is(err, vfs.ErrLocked) {
		err = ErrOwned
	}
	if err != nil {
		return nil, errors.Join(err, fs.Close())
	}
	return closers{lock, fs}, nil
}

// closers are closed in their order.
type closers []io.Closer

func (all closers) Close() error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (s *Server) listen() error {
	l, err := listen(Folder(s.storage))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.socket, err)
	}
	server := &http.Server{Handler: s.handler(), ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: requestTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	file, _ := os.Lstat(s.socket) // nil if it is gone already
	s.mu.Lock()
	s.http, s.file = server, file
	s.mu.Unlock()
	s.serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the control socket does not serve any more", slog.String("socket", s.socket), slog.Any("error", err))
		}
	})
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dead-letters", s.list)
	mux.HandleFunc("GET /dead-letters/{pipeline}/{sequence}", s.get)
	mux.HandleFunc("GET /dead-letters/{pipeline}/{sequence}/record", s.record)
	mux.HandleFunc("POST /dead-letters/drop", s.drop)
	mux.Handle("POST /reload", s.reload)
	return mux
}

// SetLetters sets the dead letters, by pipeline, in place of those of another owner.
func (s *Server) SetLetters(owner any, letters map[string]*delivery.DeadLetters) {
	all := map[string]local{}
	for pipeline, d := range letters {
		all[pipeline] = local{pipeline, d}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner, s.letters = owner, all
}

// DropLetters removes the dead letters, unless they have another owner by now.
func (s *Server) DropLetters(owner any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == owner {
		s.owner, s.letters = nil, nil
	}
}

// current returns the dead letters. The map is not changed.
func (s *Server) current() map[string]local {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters
}

// listen makes the socket under another name, so that it has its mode when it appears,
// and one of a process that has ended is replaced at once.
func listen(folder string) (net.Listener, error) {
	at, release, err := socketAddress(folder)
	if err != nil {
		return nil, err
	}
	defer release()
	fresh := filepath.Join(at, freshName)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it gets another name
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, filepath.Join(at, socketName))); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(fresh))
	}
	return l, nil
}

// Shutdown removes the socket, and waits for requests until ctx ends. It does nothing if
// the server does not listen.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	server, file := s.http, s.file
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	removed := removeSame(s.socket, file)
	err := server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("shut down the control socket: requests were cut off: %w", errors.Join(err, server.Close()))
	}
	s.serving.Wait()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return errors.Join(removed, err)
}

// removeSame removes a file, unless it was removed or replaced.
func removeSame(path string, file os.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil || file == nil || !os.SameFile(now, file) {
		return nil
	}
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	letters := s.current()
	pipelines := slices.Sorted(maps.Keys(letters))
	if only := r.URL.Query().Get("pipeline"); only != "" {
		if _, ok := s.pipeline(w, only); !ok {
			return
		}
		pipelines = []string{only}
	}
	list := []Letter{}
	for _, pipeline := range pipelines {
		more, err := letters[pipeline].List(r.Context())
		if err != nil {
			s.fail(w, err)
			return
		}
		list = append(list, more...)
	}
	s.answer(w, list)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	if letter, _, ok := s.find(w, r); ok {
		s.answer(w, letter)
	}
}

func (s *Server) record(w http.ResponseWriter, r *http.Request) {
	if _, record, ok := s.find(w, r); ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(record)))
		_, _ = w.Write(record) // a client that is gone needs no answer
	}
}

// find returns the letter of a path, or answers that there is none.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (Letter, []byte, bool) {
	id, err := ParseID(r.PathValue("pipeline") + "/" + r.PathValue("sequence"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return Letter{}, nil, false
	}
	letters, ok := s.pipeline(w, id.Pipeline)
	if !ok {
		return Letter{}, nil, false
	}
	letter, record, err := letters.Get(r.Context(), id.Sequence)
	if err != nil {
		s.fail(w, err)
		return Letter{}, nil, false
	}
	return letter, record, true
}

func (s *Server) drop(w http.ResponseWriter, r *http.Request) {
	var d Drop
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		http.Error(w, fmt.Sprintf("read the request: %v", err), http.StatusBadRequest)
		return
	}
	if d.All == (len(d.Sequences) > 0) {
		http.Error(w, "read the request: expected either sequences or all", http.StatusBadRequest)
		return
	}
	letters, ok := s.pipeline(w, d.Pipeline)
	if !ok {
		return
	}
	n, err := len(d.Sequences), error(nil)
	if d.All {
		n, err = letters.DropAll(r.Context())
	} else {
		err = letters.Drop(r.Context(), d.Sequences...)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.log.Info("dead letters were dropped by a command", slog.String("pipeline", d.Pipeline), slog.Int("requests", n))
	s.answer(w, Dropped{n})
}

// pipeline returns the letters of a pipeline, or answers that there are none.
func (s *Server) pipeline(w http.ResponseWriter, name string) (local, bool) {
	letters, ok := s.current()[name]
	if !ok {
		http.Error(w, fmt.Sprintf("the process has no queue of pipeline %q in this storage", name), http.StatusNotFound)
	}
	return letters, ok
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, delivery.ErrNoLetter) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}

func (s *Server) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Server serves the dead letters of a storage.
type Server struct {
	letters map[string]local
	socket  string
	http    *http.Server
	serving sync.WaitGroup
	log     *slog.Logger
}

// Listen serves the dead letters, by pipeline, on the socket in the folder of a storage.
// This process has the storage, so that a socket in it is of one that has ended.
func Listen(storage string, letters map[string]*delivery.DeadLetters, log *slog.Logger) (*Server, error) {
	s := &Server{letters: map[string]local{}, socket: filepath.Join(Folder(storage), socketName), log: log}
	for pipeline, d := range letters {
		s.letters[pipeline] = local{pipeline, d}
	}
	l, err := listen(Folder(storage))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.socket, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dead-letters", s.list)
	mux.HandleFunc("GET /dead-letters/{pipeline}/{sequence}", s.get)
	mux.HandleFunc("GET /dead-letters/{pipeline}/{sequence}/record", s.record)
	mux.HandleFunc("POST /dead-letters/drop", s.drop)
	s.http = &http.Server{Handler: mux, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: requestTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	s.serving.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the control socket does not serve any more", slog.String("socket", s.socket), slog.Any("error", err))
		}
	})
	return s, nil
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

// Shutdown removes the socket, and waits for requests until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	removed := os.Remove(s.socket)
	if errors.Is(removed, os.ErrNotExist) {
		removed = nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("shut down the control socket: requests were cut off: %w", errors.Join(err, s.http.Close()))
	}
	s.serving.Wait()
	return errors.Join(removed, err)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	pipelines := slices.Sorted(maps.Keys(s.letters))
	if only := r.URL.Query().Get("pipeline"); only != "" {
		if _, ok := s.pipeline(w, only); !ok {
			return
		}
		pipelines = []string{only}
	}
	list := []Letter{}
	for _, pipeline := range pipelines {
		more, err := s.letters[pipeline].List(r.Context())
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
	letters, ok := s.letters[name]
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

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// Reload loads the configuration of a service and puts it in effect. The text is for
// people, also if there is an error; it says why then. An error that wraps a config.Errors
// means that the configuration is invalid.
type Reload func(context.Context) (text string, err error)

var (
	// ErrNotRunning is the error of a Reload of a service that is not between Start and
	// Shutdown.
	ErrNotRunning = errors.New("the service is starting or shutting down")
	// ErrInvalid is the error of RequestReload for an invalid configuration.
	ErrInvalid = errors.New("the configuration is invalid")
)

// ServeHTTP answers a request to reload with text: 200 if the configuration is in effect,
// 422 if it is invalid, 503 if the service is starting or shutting down, 500 otherwise. A
// client that disconnects does not end the reload.
func (f Reload) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f == nil {
		http.Error(w, "reloading is not possible over this socket: it is that of a storage; use the socket of the data directory", http.StatusNotFound)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the client decides how long it waits
	text, err := f(context.WithoutCancel(r.Context()))
	status := http.StatusOK
	var invalid config.Errors
	switch {
	case errors.As(err, &invalid):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, ErrNotRunning):
		status = http.StatusServiceUnavailable
	case err != nil:
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.TrimRight(text, "\n")+"\n") // a client that is gone needs no answer
}

// maxAnswer bounds the answer to a reload, in bytes.
const maxAnswer = 16 << 20

// RequestReload asks the process that serves the socket in the folder of a storage to
// reload. The text is what the process answers; err is ErrInvalid if the configuration is
// invalid, and then the text has the problems.
func RequestReload(ctx context.Context, storage string) (text string, err error) {
	client := connect(storage)
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://penstock/reload", nil)
	if err != nil {
		return "", err
	}
	socket := filepath.Join(Folder(storage), socketName)
	answer, err := client.Do(r)
	if err != nil {
		return "", explainNoAnswer(socket, err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("read the answer of the process that serves %s: %w", socket, err)
	}
	text = strings.TrimRight(string(b), "\n")
	switch answer.StatusCode {
	case http.StatusOK:
		return text, nil
	case http.StatusUnprocessableEntity:
		return text, ErrInvalid
	case http.StatusNotFound:
		return "", fmt.Errorf("the process that serves %s is of a version that cannot be asked to reload, or has only a storage there: %s", socket, text)
	}
	return "", errors.New(text)
}

// explainNoAnswer adds to an error what to do about it.
func explainNoAnswer(socket string, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) { // its text has a URL that means nothing here
		err = failed.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("connect to %s: the socket does not exist; name the directory of the process with --data-dir, or send it SIGHUP: a process has the socket only if its data directory exists", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("connect to %s: no process serves it: the one that created it has ended", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("connect to %s: permission denied; run the command as the user of the process", socket)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("wait for the process that serves %s: it has not answered in time; it may still reload, which its log says", socket)
	}
	return fmt.Errorf("connect to %s: %w", socket, err)
}

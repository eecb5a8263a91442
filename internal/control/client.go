package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// remote are letters that another process has open.
type remote struct {
	pipeline string
	http     *http.Client
	socket   string
	locked   error // why the letters were not opened here
}

// connect returns a client of the socket in the folder of a storage.
func connect(storage string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		at, release, err := socketAddress(Folder(storage))
		if err != nil {
			return nil, err
		}
		defer release()
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(at, socketName))
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// List implements Letters.
func (l remote) List(ctx context.Context) (list []Letter, err error) {
	return list, l.call(ctx, http.MethodGet, "/dead-letters?pipeline="+url.QueryEscape(l.pipeline), nil, &list)
}

// Get implements Letters.
func (l remote) Get(ctx context.Context, sequence uint64) (letter Letter, record []byte, err error) {
	path := "/dead-letters/" + url.PathEscape(l.pipeline) + "/" + strconv.FormatUint(sequence, 10)
	if err = l.call(ctx, http.MethodGet, path, nil, &letter); err == nil {
		err = l.call(ctx, http.MethodGet, path+"/record", nil, &record)
	}
	return letter, record, err
}

// Drop implements Letters.
func (l remote) Drop(ctx context.Context, sequences ...uint64) error {
	if len(sequences) == 0 {
		return nil
	}
	return l.call(ctx, http.MethodPost, "/dead-letters/drop", Drop{Pipeline: l.pipeline, Sequences: sequences}, &Dropped{})
}

// DropAll implements Letters.
func (l remote) DropAll(ctx context.Context) (int, error) {
	var d Dropped
	err := l.call(ctx, http.MethodPost, "/dead-letters/drop", Drop{Pipeline: l.pipeline, All: true}, &d)
	return d.Dropped, err
}

// call sends body as JSON, and reads the answer into a variable: bytes as they are, all
// else as JSON.
func (l remote) call(ctx context.Context, method, path string, body, answer any) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://penstock"+path, payload)
	if err != nil {
		return err
	}
	resp, err := l.http.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // its text has a URL that means nothing here
			err = failed.Err
		}
		return fmt.Errorf("%w; and its control socket %s does not answer: %w; stop that process, or wait for it if it is another command", l.locked, l.socket, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch raw, isRaw := answer.(*[]byte); {
	case err != nil:
		return fmt.Errorf("read the answer of the process that has the dead letters: %w", err)
	case resp.StatusCode != http.StatusOK:
		return errors.New(strings.TrimSpace(string(b)))
	case isRaw:
		*raw = b
		return nil
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("read the answer of the process that has the dead letters: %w", err)
	}
	return nil
}

package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// maxAnswerBytes is the largest answer of a metadata service that is read.
	maxAnswerBytes = 1 << 20
	// dialTimeout is how long a metadata service is given to accept a connection. It is on
	// the same machine or its hypervisor; elsewhere packets to its address are lost.
	dialTimeout = time.Second
	// answerTimeout is how long one answer may take.
	answerTimeout = 2 * time.Second
)

// A Host is the machine as detectors see it.
type Host struct {
	LookupEnv func(name string) (string, bool)
	ReadFile  func(path string) ([]byte, error)
	Hostname  func() (string, error)
	Resolver  Resolver
	// Web sends requests to metadata services.
	Web *http.Client
	// Instead replaces the beginnings of URLs of metadata services.
	Instead map[string]string
}

// A Resolver is the part of net.Resolver that detectors use.
type Resolver interface {
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// NewHost returns the machine that this process runs on. Close ends its connections.
func NewHost() *Host {
	return &Host{
		LookupEnv: os.LookupEnv, ReadFile: os.ReadFile, Hostname: os.Hostname, Resolver: net.DefaultResolver,
		Web: &http.Client{Timeout: answerTimeout, Transport: &http.Transport{ // without a proxy: the services are local
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxResponseHeaderBytes: 64 << 10,
		}},
	}
}

// Close ends connections that are idle.
func (h *Host) Close() { h.Web.CloseIdleConnections() }

// env returns an environment variable; empty if it is not set.
func (h *Host) env(name string) string {
	v, _ := h.LookupEnv(name)
	return v
}

// An answerError is an answer of a metadata service with another status than 2xx.
type answerError struct {
	method, url, status string
	code                int
}

func (e *answerError) Error() string { return fmt.Sprintf("%s %s: %s", e.method, e.url, e.status) }

// answered reports whether err is an answer with one of the status codes.
func answered(err error, codes ...int) bool {
	var a *answerError
	if !errors.As(err, &a) {
		return false
	}
	for _, c := range codes {
		if a.code == c {
			return true
		}
	}
	return false
}

// at returns the URL that is used for one of a metadata service.
func (h *Host) at(url string) string {
	for begin, instead := range h.Instead {
		if rest, ok := strings.CutPrefix(url, begin); ok {
			return instead + rest
		}
	}
	return url
}

// do sends a request to a metadata service and returns the answer.
func (h *Host) do(ctx context.Context, client *http.Client, method, url string, header map[string]string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.at(url), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, resp.Header, &answerError{method, url, resp.Status, resp.StatusCode}
	}
	return body, resp.Header, nil
}

// text returns an answer as text.
func (h *Host) text(ctx context.Context, url string, header map[string]string) (string, error) {
	body, _, err := h.do(ctx, h.Web, http.MethodGet, url, header)
	return string(body), err
}

// json decodes an answer.
func (h *Host) json(ctx context.Context, url string, header map[string]string, into any) error {
	body, _, err := h.do(ctx, h.Web, http.MethodGet, url, header)
	if err != nil {
		return err
	}
	return decode(url, body, into)
}

func decode(url string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", url, err)
	}
	return nil
}

// texts reads the values at several paths below base, and returns the first error.
func (h *Host) texts(ctx context.Context, base string, header map[string]string, paths map[string]*string) error {
	for path := range paths {
		text, err := h.text(ctx, base+path, header)
		if err != nil {
			return err
		}
		*paths[path] = text
	}
	return nil
}

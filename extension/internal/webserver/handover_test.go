package webserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
)

// A server takes the listener of another over: no request is refused or fails, on new
// connections and on those that are kept.
func TestHandover(t *testing.T) {
	t.Parallel()
	var all config.Listeners
	start := func(id string) *Server {
		s := New(Options{
			ID: "health_check", Config: config.WebServer{Endpoint: "localhost:0", Transport: "tcp"}, Log: component.Settings{}.OrDefaults().Logger,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, id) }),
		})
		if err := s.Start(config.WithListeners(context.Background(), &all)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	end := func(s *Server) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(s.Retire(ctx), s.Shutdown(ctx)); err != nil {
			t.Error(err)
		}
	}
	get := func(client *http.Client, at string) (string, error) {
		resp, err := client.Get("http://" + at)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return string(text), err
	}
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	now := start("first")
	at := addr(now).String()
	var stop atomic.Bool
	var clients sync.WaitGroup
	for i := range 3 {
		transport := &http.Transport{DisableKeepAlives: i == 0}
		client := &http.Client{Transport: transport}
		clients.Go(func() {
			defer transport.CloseIdleConnections()
			for !stop.Load() {
				if _, err := get(client, at); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		all.Begin("extensions.health_check")
		next := start(fmt.Sprint(i))
		all.End()
		end(now)
		now = next
		if text, err := get(once, at); err != nil || text != fmt.Sprint(i) {
			t.Errorf("%q, %v; expected %d", text, err, i)
		}
	}
	stop.Store(true)
	clients.Wait()
	end(now)
}

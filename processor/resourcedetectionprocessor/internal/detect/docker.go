package detect

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// detectDocker asks the Docker daemon, at DOCKER_HOST or the usual socket, for its machine
// and for the container whose id is the host name of this process.
func detectDocker(ctx context.Context, h *Host, o Options, r *Resource) error {
	client, base, err := h.docker()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	get := func(path string, into any) error {
		body, _, err := h.do(ctx, client, http.MethodGet, base+path, nil)
		if err == nil {
			err = decode(path, body, into)
		}
		if err != nil {
			return notHere("ask Docker: %w", err)
		}
		return nil
	}
	var info struct{ Name, OSType string }
	if err := get("/info", &info); err != nil {
		return err
	}
	r.setAll("os.type", osType(info.OSType), "host.name", info.Name)
	if !o.wantsAny("container.name", "container.image.name") {
		return nil
	}
	name, err := h.Hostname()
	if err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	var container struct{ Name, Image string }
	if err := get("/containers/"+url.PathEscape(name)+"/json", &container); err != nil {
		return err
	}
	r.setAll("container.name", container.Name, "container.image.name", container.Image)
	return nil
}

// docker returns a client of the Docker daemon, and the beginning of its URLs.
func (h *Host) docker() (*http.Client, string, error) {
	at := cmp.Or(h.env("DOCKER_HOST"), "unix:///var/run/docker.sock")
	scheme, address, _ := strings.Cut(at, "://")
	switch scheme {
	case "unix":
		return &http.Client{Timeout: answerTimeout, Transport: &http.Transport{
			MaxResponseHeaderBytes: 64 << 10,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", address)
			},
		}}, "http://docker", nil
	case "tcp", "http":
		if h.env("DOCKER_TLS_VERIFY") != "" {
			return nil, "", notHere("ask Docker: TLS (DOCKER_TLS_VERIFY) is not supported")
		}
		return &http.Client{Timeout: answerTimeout, Transport: &http.Transport{MaxResponseHeaderBytes: 64 << 10}}, "http://" + address, nil
	}
	return nil, "", notHere("ask Docker: expected DOCKER_HOST to begin with unix:// or tcp://, found %q", at)
}

package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// GRPCTarget is where a gRPC client connects to.
type GRPCTarget struct {
	// Address is what grpc.NewClient takes: "dns:///host:4317", "unix:///path".
	Address string
	// Plaintext: the endpoint is http://, so TLS is off.
	Plaintext bool
	// Encrypted: the endpoint is https://, so TLS is on. If neither is set, the
	// TLS settings decide.
	Encrypted bool
}

// errNoEndpoint is the answer to an empty endpoint.
var errNoEndpoint = errors.New("no endpoint is set: expected host:port")

// resolvers are the schemes of gRPC's own name resolvers. What follows them is
// checked by gRPC.
var resolvers = []string{"dns", "unix", "unix-abstract", "passthrough"}

// ParseGRPCTarget reads the endpoint of a gRPC client: host:port, http:// or
// https:// in front of it, or a gRPC target such as dns:///host:port or
// unix:///path.
func ParseGRPCTarget(endpoint string) (GRPCTarget, error) {
	var t GRPCTarget
	scheme, rest, found := strings.Cut(endpoint, ":")
	switch {
	case endpoint == "":
		return t, errNoEndpoint
	case found && slices.Contains(resolvers, scheme) && !isPort(rest):
		t.Address = endpoint
		return t, nil
	}
	hostPort := endpoint
	if scheme, rest, found := strings.Cut(endpoint, "://"); found {
		switch strings.ToLower(scheme) {
		case "http":
			t.Plaintext = true
		case "https":
			t.Encrypted = true
		default:
			return t, fmt.Errorf("endpoint %q: unknown scheme %q: expected http, https, %s, or host:port without one",
				endpoint, scheme, strings.Join(resolvers, ", "))
		}
		hostPort = strings.TrimSuffix(rest, "/")
	}
	if strings.Contains(hostPort, "@") {
		// It is not repeated here: there may be a password in it.
		return t, errors.New("the endpoint names a user: a gRPC endpoint is host:port, credentials go into the headers")
	}
	if strings.Contains(hostPort, "/") {
		return t, fmt.Errorf("endpoint %q: a gRPC endpoint has no path: expected host:port (OTLP over HTTP is the otlphttp exporter's)", endpoint)
	}
	if err := checkHostPort(hostPort); err != nil {
		return t, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	t.Address = "dns:///" + hostPort
	return t, nil
}

// isPort tells a host that is called like a resolver, "dns:4317", from a target.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// validPort says whether something can listen there.
func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil && !strings.Contains(s, ":"):
		return errors.New("the port is missing: expected host:port, as in host:4317")
	case err != nil:
		return errors.New("expected host:port, with an IPv6 address in brackets")
	case host == "":
		return errors.New("the host is missing: expected host:port")
	case !validPort(port):
		return fmt.Errorf("invalid port %q: expected 1 to 65535", port)
	}
	// gRPC reads a target as a URL, and would look a host with a ? or a blank up
	// for ever.
	if u, err := url.Parse("//" + s); err != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("invalid host %q: expected a name or an IP address", host)
	}
	return nil
}

// validHost says whether a URL has a host. net/url lets colons pass that only an
// IPv6 address in brackets may have.
func validHost(u *url.URL) bool {
	host := u.Hostname()
	return host != "" && (strings.HasPrefix(u.Host, "[") || !strings.Contains(host, ":"))
}

// ParseHTTPEndpoint reads the base URL, or the whole URL, of an HTTP client.
func ParseHTTPEndpoint(endpoint string) (*url.URL, error) {
	const want = "expected a URL such as http://host:4318"
	if endpoint == "" {
		return nil, errors.New("no endpoint is set: " + want)
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Opaque != "" || u.Scheme == "":
		// The parser's own error repeats the URL, password and all.
		return nil, errors.New("the endpoint is no URL: " + want)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint %q: unknown scheme %q: expected http or https", u.Redacted(), u.Scheme)
	case !validHost(u):
		return nil, fmt.Errorf("endpoint %q: the host is missing: %s", u.Redacted(), want)
	case u.Port() != "" && !validPort(u.Port()):
		return nil, fmt.Errorf("endpoint %q: invalid port %q: expected 1 to 65535", u.Redacted(), u.Port())
	case u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q: a fragment (#) is never sent: %s", u.Redacted(), want)
	}
	return u, nil
}

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

// GRPCTarget is the server that a gRPC client connects to.
type GRPCTarget struct {
	// Address is the target for grpc.NewClient: "dns:///host:4317",
	// "unix:///path".
	Address string
	// Plaintext is true if the endpoint begins with http://: TLS is off.
	Plaintext bool
	// Encrypted is true if the endpoint begins with https://: TLS is on. If
	// neither is set, the TLS settings decide.
	Encrypted bool
}

// errNoEndpoint is returned for an empty endpoint.
var errNoEndpoint = errors.New("no endpoint is set: expected host:port")

// errUserInTarget does not quote the endpoint, which may contain a password.
var errUserInTarget = errors.New("the endpoint contains a user: a gRPC endpoint is host:port, credentials go into the headers")

// resolvers are the schemes of gRPC's own name resolvers. gRPC checks the rest
// of such a target.
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
	case (scheme == "dns" || scheme == "passthrough") && strings.Contains(rest, "@"):
		return t, errUserInTarget
	case found && slices.Contains(resolvers, scheme) && !isPort(rest):
		t.Address = endpoint
		return t, nil
	}
	switch {
	case strings.Contains(endpoint, "@"):
		return t, errUserInTarget
	case strings.Contains(endpoint, "?") && strings.Contains(endpoint, "="): // not quoted either
		return t, errors.New("the endpoint contains a query: a gRPC endpoint is host:port, credentials go into the headers")
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
				RedactURLs(endpoint), scheme, strings.Join(resolvers, ", "))
		}
		hostPort = strings.TrimSuffix(rest, "/")
	}
	if strings.Contains(hostPort, "/") {
		return t, fmt.Errorf("endpoint %q: a gRPC endpoint has no path: expected host:port (for OTLP over HTTP use the otlphttp exporter)", RedactURLs(endpoint))
	}
	if strings.HasPrefix(hostPort, ":") && isPort(hostPort[1:]) { // this machine, as for net.Dial
		hostPort = "localhost" + hostPort
	}
	if err := checkHostPort(hostPort); err != nil {
		return t, fmt.Errorf("endpoint %q: %w", RedactURLs(endpoint), err)
	}
	t.Address = "dns:///" + hostPort
	return t, nil
}

// isPort distinguishes a host that has the name of a resolver, "dns:4317", from
// a target.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// validPort reports whether s is a port from 1 to 65535.
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
	// gRPC parses a target as a URL, and would try forever to resolve a host
	// that contains a ? or a space.
	if u, err := url.Parse("//" + s); err != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("invalid host %q: expected a name or an IP address", host)
	}
	return nil
}

// validHost reports whether a URL has a valid host. net/url accepts colons that
// only an IPv6 address in brackets may contain.
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
	if err == nil && u.Hostname() == "" && validPort(u.Port()) { // this machine, as for net.Dial
		u.Host = "localhost:" + u.Port()
	}
	switch {
	case err != nil || u.Opaque != "" || u.Scheme == "":
		// The parser's error quotes the URL, which may contain a password.
		return nil, errors.New("the endpoint is not a URL: " + want)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint %q: unknown scheme %q: expected http or https", RedactURL(u), u.Scheme)
	case !validHost(u):
		return nil, fmt.Errorf("endpoint %q: the host is missing: %s", RedactURL(u), want)
	case u.Port() != "" && !validPort(u.Port()):
		return nil, fmt.Errorf("endpoint %q: invalid port %q: expected 1 to 65535", RedactURL(u), u.Port())
	case u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q: a fragment (#) is never sent: %s", RedactURL(u), want)
	}
	return u, nil
}

package pprofreceiver

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/libpf"
)

// A source is a target with all that the configuration says of it.
type source struct {
	name            string // for messages: host:port
	instance        string // service.instance.id
	resource        libpf.Attributes
	interval, delay time.Duration
	client          *config.HTTPClient
	jobs            []job
}

// A job is one URL that is fetched again and again.
type job struct {
	kind string
	url  *url.URL
	// timed jobs measure while we wait, for as long as wait says.
	timed bool
	wait  time.Duration
	// window: the answer is about a window also where its types accumulate, for
	// the process has taken the difference itself (?seconds=, delta_heap). changes:
	// it has done so with what is there at the moment, too (?seconds=).
	window, changes bool
	take            take
	// attributes are on each sample; named is the kind that they name.
	attributes libpf.Attributes
	named      string
}

// take is which sample types of a profile are reported.
type take uint8

const (
	takeAll take = iota
	// heap and allocs are the same profile. Where both are fetched, one of them
	// gives what is in use, the other what was allocated.
	takeGauges
	takeCumulative
)

// timeoutBeyond is what a fetch may take beyond the seconds it waits for.
const timeoutBeyond = 10 * time.Second

// goCPUSeconds is how long net/http/pprof measures when the URL does not say.
const goCPUSeconds = 30

// sources resolves the configuration of all targets.
func (c *Config) sources() ([]source, error) {
	var all []source
	var problems []error
	for i := range c.Targets {
		s, err := c.source(&c.Targets[i])
		if err != nil {
			problems = append(problems, config.At("targets", fmt.Errorf("entry %d: %w", i+1, err)))
		}
		all = append(all, s)
	}
	problems = append(problems, config.At("profiles", c.Profiles.validate()))
	exact := func(key string, h *config.HTTPClient, interval, delay time.Duration) {
		s, err := c.exactSource(h, interval, delay)
		problems = append(problems, config.At(key, err))
		all = append(all, s)
	}
	if c.HTTP.Endpoint != "" {
		exact("endpoint", &c.HTTP, c.CollectionInterval, c.InitialDelay)
	}
	if r := c.Remote; r != nil && r.HTTP.Endpoint != "" {
		exact("remote.endpoint", &r.HTTP, r.CollectionInterval, r.InitialDelay)
	}
	return all, errors.Join(problems...)
}

func (c *Config) source(t *Target) (source, error) {
	u, err := parseTarget(t.Endpoint)
	if err != nil {
		return source{}, err
	}
	s := source{
		name: u.Host, interval: c.CollectionInterval, delay: c.InitialDelay, client: &c.HTTP,
	}
	if t.CollectionInterval != 0 {
		s.interval = t.CollectionInterval
		if err := checkInterval("collection_interval", s.interval); err != nil {
			return s, err
		}
	}
	profiles := c.Profiles
	if t.Profiles != nil {
		profiles = *t.Profiles
		if err := profiles.validate(); err != nil {
			return s, fmt.Errorf("profiles: %w", err)
		}
	}
	prefix := strings.TrimRight(u.Path, "/")
	switch {
	case namesProfile(u):
		if t.PathPrefix != "" || t.Profiles != nil {
			return s, fmt.Errorf("%s is one profile already: expected no path_prefix and no profiles beside it", config.RedactURL(u))
		}
		s.jobs = []job{exactJob(u)}
		s.instance, s.resource = instanceOf(u, path.Dir(u.Path)), c.resource(u, path.Dir(u.Path), t.ServiceName, t.Attributes)
		return s, errors.Join(s.checkChanges(), s.checkTimeout())
	case prefix != "" && t.PathPrefix != "":
		return s, fmt.Errorf("%s has a path: expected no path_prefix beside it", config.RedactURL(u))
	case prefix == "":
		if prefix = t.PathPrefix; prefix == "" {
			prefix = c.PathPrefix
		}
	}
	s.instance, s.resource = instanceOf(u, prefix), c.resource(u, prefix, t.ServiceName, t.Attributes)
	if err := s.addJobs(u, prefix, profiles); err != nil {
		return s, err
	}
	return s, s.checkTimeout()
}

// exactSource is the source of a section that has one profile's URL.
func (c *Config) exactSource(h *config.HTTPClient, interval, delay time.Duration) (source, error) {
	u, err := parseTarget(h.Endpoint)
	if err != nil {
		return source{}, err
	}
	s := source{
		name: u.Host, interval: interval, delay: delay, client: h,
		instance: instanceOf(u, path.Dir(u.Path)), resource: c.resource(u, path.Dir(u.Path), "", nil), jobs: []job{exactJob(u)},
	}
	return s, errors.Join(s.checkChanges(), s.checkTimeout())
}

// parseTarget reads host:port, or a URL. A password in it is not repeated.
func parseTarget(endpoint string) (*url.URL, error) {
	if strings.Contains(endpoint, "://") {
		return config.ParseHTTPEndpoint(endpoint)
	}
	if strings.Contains(endpoint, "@") {
		return nil, errors.New("the target names a user: expected host:port, or a URL such as http://user:password@host:6060")
	}
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("target %q: expected host:port, or a URL such as http://host:6060", endpoint)
	}
	return config.ParseHTTPEndpoint("http://" + endpoint)
}

// namesProfile reports whether a URL is that of one profile, not of the folder
// of all profiles.
func namesProfile(u *url.URL) bool {
	_, known := kindByPath(u.Path)
	return known || u.RawQuery != "" || measuresDelta(u)
}

// measuresDelta knows the paths of godeltaprof: delta_heap and so on.
func measuresDelta(u *url.URL) bool {
	return strings.HasPrefix(path.Base(u.Path), deltaPrefix)
}

const deltaPrefix = "delta_"

// exactJob fetches a URL as it is.
func exactJob(u *url.URL) job {
	asked := u.Query().Get("seconds")
	seconds, _ := strconv.Atoi(asked)
	j := job{kind: u.Path, url: u, window: asked != "" || measuresDelta(u), changes: asked != "", timed: seconds > 0}
	if i, known := kindByPath(strings.Replace(u.Path, "/"+deltaPrefix, "/", 1)); known {
		j.attributes, j.named = kinds[i].attributes(), kinds[i].ambiguous()
	}
	if i, known := kindByPath(u.Path); known {
		j.kind, j.timed = kinds[i].name, j.timed || kinds[i].timed
		if kinds[i].timed && seconds <= 0 {
			seconds = goCPUSeconds
		}
		if i == allocsKind {
			j.take = takeCumulative
		}
	}
	j.wait = time.Duration(max(seconds, 0)) * time.Second
	return j
}

func (s *source) addJobs(u *url.URL, prefix string, profiles Profiles) error {
	heap, allocs := profiles[kinds[heapKind].name], profiles[kinds[allocsKind].name]
	both := heap.Enabled && allocs.Enabled
	for i, k := range kinds {
		p := profiles[k.name]
		// One fetch of heap does for both, unless they are said to be elsewhere. Some
		// that measure differences (godeltaprof) begin the next with each fetch.
		if !p.Enabled || i == allocsKind && both && heap.Path == allocs.Path {
			continue
		}
		j := job{kind: k.name, timed: k.timed, take: takeAll, attributes: k.attributes(), named: k.ambiguous()}
		last := k.path
		if p.Path != "" {
			last = p.Path
		}
		at := *u
		at.Path, at.RawPath = path.Join("/", prefix, last), ""
		j.url, j.window = &at, measuresDelta(&at)
		switch {
		case k.timed:
			seconds, err := s.cpuSeconds(p.Seconds)
			if err != nil {
				return err
			}
			j.wait = time.Duration(seconds) * time.Second
			at.RawQuery = "seconds=" + strconv.Itoa(seconds)
		case i == allocsKind:
			j.take = takeCumulative
		case i == heapKind && both && heap.Path != allocs.Path:
			j.take = takeGauges
		}
		s.jobs = append(s.jobs, j)
	}
	return nil
}

// cpuSeconds is how long the CPU profile is: asked, or what the interval and the
// timeout leave.
func (s *source) cpuSeconds(asked int) (int, error) {
	if asked > 0 {
		if d := time.Duration(asked) * time.Second; d > s.interval {
			return 0, fmt.Errorf("profiles.cpu.seconds is %d: expected no more than the collection_interval, %s", asked, s.interval)
		}
		return asked, nil
	}
	seconds := min(int(s.interval/time.Second)-1, maxCPUSeconds)
	if s.client.Timeout > 0 {
		seconds = min(seconds, int(s.client.Timeout/time.Second)-1)
	}
	return max(seconds, 1), nil
}

// checkChanges refuses to ask for what a process has at the moment as a window: net/http/pprof
// answers with differences, which are below 0 where there is less.
func (s *source) checkChanges() error {
	for _, j := range s.jobs {
		if j.changes && momentary(j.kind) {
			return fmt.Errorf("%s is what the process has at that moment: expected no seconds in %s", j.kind, config.RedactURL(j.url))
		}
	}
	return nil
}

// checkTimeout refuses a timeout that no fetch of a timed profile could meet.
func (s *source) checkTimeout() error {
	for _, j := range s.jobs {
		if t := s.client.Timeout; t > 0 && t <= j.wait {
			return fmt.Errorf("the timeout is %s, and %s takes %s to measure: expected a longer timeout, or fewer seconds", t, j.kind, j.wait)
		}
	}
	return nil
}

func (s *source) timeout(j *job) time.Duration {
	if s.client.Timeout > 0 {
		return s.client.Timeout
	}
	return j.wait + timeoutBeyond
}

// resource describes a target as OpenTelemetry's compatibility specification for
// Prometheus does: there is no service.name unless one is configured. Programs behind one
// gateway differ by the path of their profiles, which is in the instance's id unless it is
// net/http/pprof's own.
func (c *Config) resource(u *url.URL, prefix, name string, own map[string]string) libpf.Attributes {
	port := portOf(u)
	number, _ := strconv.ParseInt(port, 10, 64) // ParseHTTPEndpoint has looked at it
	list := []libpf.Attribute{
		libpf.StringAttr("service.instance.id", instanceOf(u, prefix)),
		libpf.StringAttr("server.address", u.Hostname()),
		libpf.IntAttr("server.port", number),
		libpf.StringAttr("url.scheme", u.Scheme),
	}
	if prefix = path.Join("/", prefix); prefix != defaultPrefix {
		list = append(list, libpf.StringAttr("url.path", prefix))
	}
	return libpf.NewAttributes(append(list, c.commonAttributes(name, own)...)...)
}

// instanceOf is host:port, with the path of the profiles unless it is the default.
func instanceOf(u *url.URL, prefix string) string {
	instance := net.JoinHostPort(u.Hostname(), portOf(u))
	if prefix = path.Join("/", prefix); prefix != defaultPrefix {
		instance += prefix
	}
	return instance
}

// commonAttributes are those that the configuration gives, the last one of a key
// winning.
func (c *Config) commonAttributes(name string, own map[string]string) []libpf.Attribute {
	if name == "" {
		name = c.ServiceName
	}
	var list []libpf.Attribute
	if name != "" {
		list = append(list, libpf.StringAttr("service.name", name))
	}
	for _, m := range []map[string]string{c.Attributes, own} {
		for key, value := range m {
			list = append(list, libpf.StringAttr(key, value))
		}
	}
	return list
}

package loadgen

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	// maxTraceSpans is the largest trace.
	maxTraceSpans = 8
	// sceneHosts is the number of services that take part in a request.
	sceneHosts = 3
	// sceneStream is the first stream of random numbers for scenes.
	sceneStream = 1 << 48
	// minCallTime is the least length of a span that has children.
	minCallTime = uint64(100 * time.Microsecond)
)

// scene is what the templates with one index of all signals have in common: instances of
// services, and the spans of the requests that they serve. So logs, exemplars and
// profiles can refer to spans that the traces have.
type scene struct {
	hosts []*host
	spans []*span
}

// host is an instance of a service.
type host struct {
	service
	resource []attr
	address  string // that callers use
	port     int
	ip       string
	spans    []*span
}

// span is a span without its details. Parents are before their children in a scene.
type span struct {
	host              *host
	trace, id, parent []byte
	start, end        uint64
	kind              otlp.SpanKind
	call              *call
}

// call is what the spans of a client and its server agree on: an HTTP request, or a query
// to a database if it has a table.
type call struct {
	method, route, path string
	status              int
	client, server      *host // nil if it is not a host of the scene
	database, table     string
}

func (c *call) failed() bool { return c.status >= 500 }

// refused reports whether a client takes the answer for an error.
func (c *call) refused() bool { return c.status >= 400 }

// scene returns the scene of the author's template. All signals have the same.
func (a *author) scene() *scene {
	if a.theScene == nil {
		index := a.stream & (1<<32 - 1)
		b := &author{Rand: rand.New(rand.NewPCG(a.shape.Seed, sceneStream|index)), shape: a.shape, now: a.now}
		a.theScene = b.newScene()
	}
	return a.theScene
}

func (a *author) newScene() *scene {
	s := &scene{}
	for i, n := range append([]int{0}, a.Perm(len(services) - 1)[:sceneHosts-1]...) {
		if i > 0 {
			n++ // the first service is where requests from outside arrive
		}
		s.hosts = append(s.hosts, a.host(services[n], i == 0))
	}
	for left := a.shape.BatchItems; left > 0; {
		n := min(left, 1+a.IntN(maxTraceSpans))
		a.trace(s, n)
		left -= n
	}
	return s
}

func (a *author) host(s service, public bool) *host {
	h := &host{service: s, resource: a.resource(s), address: s.name + ".shop.svc.cluster.local", port: 8080, ip: a.ip()}
	if public {
		h.address, h.port = "shop.example.com", 443
	}
	return h
}

func (a *author) ip() string {
	return fmt.Sprintf("10.%d.%d.%d", a.IntN(256), a.IntN(256), 1+a.IntN(254))
}

// trace adds n spans: a request from outside, and the calls that it causes.
func (a *author) trace(s *scene, n int) {
	length := a.between(5*time.Millisecond, 2*time.Second)
	root := &span{
		host: s.hosts[0], trace: a.id(16), id: a.id(8), kind: otlp.SpanKindServer,
		start: a.now - length - a.between(0, 3*time.Second), call: a.call(nil, s.hosts[0]),
	}
	root.end = root.start + length
	s.add(root)
	servers := []*span{root}
	for left := n - 1; left > 0; left-- {
		parent := pick(a, servers)
		if parent.end-parent.start < minCallTime {
			parent = root
		}
		client := a.child(parent, otlp.SpanKindClient)
		s.add(client)
		if left < 2 || a.oneIn(2) {
			client.call = &call{database: pick(a, databases), table: pick(a, tables), client: client.host}
			continue
		}
		left--
		server := a.child(client, otlp.SpanKindServer)
		server.host = a.otherHost(s, client.host)
		client.call = a.call(client.host, server.host)
		server.call = client.call
		s.add(server)
		servers = append(servers, server)
	}
}

func (s *scene) add(sp *span) {
	s.spans = append(s.spans, sp)
	sp.host.spans = append(sp.host.spans, sp)
}

// otherHost returns a host that is called by another.
func (a *author) otherHost(s *scene, not *host) *host {
	others := make([]*host, 0, sceneHosts)
	for _, h := range s.hosts[1:] {
		if h != not {
			others = append(others, h)
		}
	}
	return pick(a, others)
}

// child returns a span within parent, on the same host.
func (a *author) child(parent *span, kind otlp.SpanKind) *span {
	length := parent.end - parent.start
	before := a.Uint64N(length/2 + 1)
	return &span{
		host: parent.host, trace: parent.trace, id: a.id(8), parent: parent.id, kind: kind,
		start: parent.start + before, end: parent.end - a.Uint64N((length-before)/2+1),
	}
}

func (a *author) call(client, server *host) *call {
	route := pick(a, routes)
	return &call{
		method: pick(a, methods), route: route, path: a.path(route), status: pick(a, statuses),
		client: client, server: server,
	}
}

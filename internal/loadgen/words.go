package loadgen

import (
	"fmt"
	"strings"
)

// The parts of a fictitious shop. Attribute names follow the semantic conventions.
var (
	services = []service{
		{"frontend", "nodejs", "express"}, {"checkout", "go", "net/http"}, {"payment", "java", "spring-webmvc"},
		{"catalog", "go", "google.golang.org/grpc"}, {"cart", "dotnet", "Microsoft.AspNetCore"}, {"shipping", "rust", "actix-web"},
		{"recommendation", "python", "fastapi"}, {"accounting", "java", "kafka-clients"}, {"email", "ruby", "sinatra"},
	}
	routes = []string{
		"/api/v1/products", "/api/v1/products/{id}", "/api/v1/cart", "/api/v1/cart/{id}/items", "/api/v1/checkout",
		"/api/v1/orders/{id}", "/api/v1/recommendations", "/api/v1/shipping/quote", "/healthz", "/login",
	}
	methods  = []string{"GET", "POST", "PUT", "DELETE", "PATCH"}
	statuses = []int{200, 200, 200, 200, 201, 204, 304, 400, 404, 429, 500, 503}
	agents   = []string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1",
		"okhttp/4.12.0", "curl/8.14.1", "Go-http-client/2.0",
	}
	databases = []string{"postgresql", "mysql", "redis", "mongodb"}
	tables    = []string{"orders", "order_items", "customers", "inventory", "payments", "sessions"}
	queries   = []string{
		"SELECT id, status, total FROM %s WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 50",
		"INSERT INTO %s (id, customer_id, total, currency) VALUES ($1, $2, $3, $4) RETURNING id",
		"UPDATE %s SET status = $2, updated_at = now() WHERE id = $1",
		"SELECT count(*) FROM %s WHERE created_at > $1",
	}
	regions    = []string{"eu-central-1", "us-east-1", "ap-southeast-2"}
	exceptions = [][2]string{
		{"java.net.SocketTimeoutException", "Read timed out"},
		{"context.deadlineExceededError", "context deadline exceeded"},
		{"psycopg.errors.UniqueViolation", "duplicate key value violates unique constraint \"orders_pkey\""},
		{"System.NullReferenceException", "Object reference not set to an instance of an object."},
	}
	proseWords = strings.Fields(`order shipped to the customer after payment cleared while cart held three items and
		inventory reserved stock for region quote expired retry scheduled session renewed token refreshed cache
		missed shard rebalanced upstream answered late queue drained batch committed offset index rebuilt`)
	files     = []string{"server.go", "handler.go", "OrderService.java", "cart_store.cs", "main.py", "quote.rs", "router.ts"}
	functions = []string{"handleRequest", "placeOrder", "chargeCard", "getQuote", "listProducts", "encode", "flush", "lookup"}
)

// kernelFunctions are the leaves of some stacks of all programs.
var kernelFunctions = []string{"vfs_read", "ksys_write", "do_epoll_wait", "tcp_sendmsg", "__schedule", "futex_wait", "handle_mm_fault"}

// service is a service of the shop: its name, its programming language, and the library
// that records its telemetry.
type service struct{ name, language, library string }

// resource describes one instance of a service.
func (a *author) resource(s service) []attr {
	replica := a.hex(10)
	pod := fmt.Sprintf("%s-%s-%s", s.name, replica, a.hex(5))
	node := fmt.Sprintf("node-%d.internal", a.IntN(40))
	return []attr{
		{"service.name", s.name},
		{"service.namespace", "shop"},
		{"service.version", fmt.Sprintf("1.%d.%d", a.IntN(20), a.IntN(10))},
		{"service.instance.id", a.uuid()},
		{"deployment.environment.name", "production"},
		{"telemetry.sdk.name", "opentelemetry"},
		{"telemetry.sdk.language", s.language},
		{"telemetry.sdk.version", "1.47.0"},
		{"k8s.cluster.name", "shop-eu"},
		{"k8s.namespace.name", "shop"},
		{"k8s.deployment.name", s.name},
		{"k8s.replicaset.name", s.name + "-" + replica},
		{"k8s.pod.name", pod},
		{"k8s.pod.uid", a.uuid()},
		{"k8s.container.name", s.name},
		{"k8s.node.name", node},
		{"container.id", a.hex(64)},
		{"container.image.name", "images.example.com/shop/" + s.name},
		{"host.name", node},
		{"host.arch", "amd64"},
		{"os.type", "linux"},
		{"cloud.provider", "aws"},
		{"cloud.region", pick(a, regions)},
		{"process.pid", 1 + a.IntN(30000)},
		{"process.command_args", []string{"/usr/bin/" + s.name, "--config", "/etc/" + s.name + ".yaml"}},
	}
}

// path returns a path of a route.
func (a *author) path(route string) string {
	return strings.ReplaceAll(route, "{id}", fmt.Sprint(1000+a.IntN(9000)))
}

// httpCall describes an HTTP request as both sides see it.
func httpCall(c *call) []attr {
	return []attr{{"http.request.method", c.method}, {"http.response.status_code", c.status}, {"http.route", c.route}, {"url.path", c.path}}
}

// clientCall describes an HTTP request as the client sees it.
func (a *author) clientCall(c *call) []attr {
	return []attr{
		{"http.request.method", c.method},
		{"http.response.status_code", c.status},
		{"url.full", fmt.Sprintf("http://%s:%d%s", c.server.address, c.server.port, c.path)},
		{"server.address", c.server.address},
		{"server.port", c.server.port},
		{"network.peer.address", c.server.ip},
		{"network.peer.port", c.server.port},
		{"network.protocol.version", "1.1"},
		{"user_agent.original", c.client.library},
		{"http.response.body.size", a.IntN(65536)},
	}
}

// serverCall describes an HTTP request as the server sees it.
func (a *author) serverCall(c *call) []attr {
	from, agent, scheme, version := a.ip(), pick(a, agents), "https", pick(a, []string{"1.1", "2"})
	if c.client != nil {
		from, agent, scheme, version = c.client.ip, c.client.library, "http", "1.1"
	}
	return []attr{
		{"http.request.method", c.method},
		{"http.response.status_code", c.status},
		{"http.route", c.route},
		{"url.path", c.path},
		{"url.scheme", scheme},
		{"server.address", c.server.address},
		{"server.port", c.server.port},
		{"client.address", from},
		{"user_agent.original", agent},
		{"network.protocol.version", version},
		{"http.request.body.size", a.IntN(4096)},
		{"user.id", a.uuid()},
	}
}

// databaseCall describes a query as the client sees it.
func (a *author) databaseCall(system, table string) []attr {
	query := fmt.Sprintf(pick(a, queries), table)
	return []attr{
		{"db.system.name", system},
		{"db.operation.name", query[:6]},
		{"db.collection.name", table},
		{"db.namespace", "shop"},
		{"db.query.text", query},
		{"server.address", system + ".db.svc.cluster.local"},
		{"server.port", 5432},
		{"db.response.returned_rows", a.IntN(500)},
	}
}

// exception describes an exception, with a stack trace.
func (a *author) exception() []attr {
	e := pick(a, exceptions)
	var trace strings.Builder
	for range 3 + a.IntN(6) {
		fmt.Fprintf(&trace, "  at %s (%s:%d)\n", pick(a, functions), pick(a, files), 1+a.IntN(900))
	}
	return []attr{{"exception.type", e[0]}, {"exception.message", e[1]}, {"exception.stacktrace", trace.String()}}
}

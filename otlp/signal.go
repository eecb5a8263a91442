package otlp

// Signal names one of the four kinds of telemetry. The zero value is not a
// signal.
type Signal uint8

// The four signals, in the order in which tables and reports list them.
const (
	Traces Signal = 1 + iota
	Metrics
	Logs
	Profiles
)

// Spec holds what differs between the signals, apart from the schema of their
// items. A new difference becomes a field here, not a switch elsewhere.
type Spec struct {
	Signal Signal
	// Name is the signal's name in a configuration: "traces".
	Name string
	// Item is what the Collector's metric names call one item in the plural:
	// otelcol_receiver_accepted_<Item>.
	Item string
	// Unit is the UCUM annotation of one item: "{span}".
	Unit string
	// Service is the gRPC service; its only method is Export.
	Service string
	// Method is the full gRPC method name.
	Method string
	// Path is the OTLP/HTTP path, without a base URL.
	Path string
	// Aliases are further HTTP paths on which a receiver accepts requests.
	Aliases []string
	// ReceiveOp names the receiver's span, as the Collector does.
	ReceiveOp string
	// Concatenable says that the concatenation of two requests is a valid
	// request. For profiles it is not: each request has its own dictionary.
	Concatenable bool
	// HasDictionary says that attributes may refer to a string table.
	HasDictionary bool
	// Header and HeaderValue are sent with every request of a signal that is in
	// development, to tell the server the version of the format. They are empty
	// for stable signals.
	Header, HeaderValue string
}

const collector = "opentelemetry.proto.collector."

// specs is indexed by Signal; entry 0 is for the zero Signal.
var specs = [5]Spec{
	{},
	{
		Signal: Traces, Name: "traces", Item: "spans", Unit: "{span}",
		Service: collector + "trace.v1.TraceService", Method: "/" + collector + "trace.v1.TraceService/Export",
		Path: "/v1/traces", ReceiveOp: "TraceDataReceived", Concatenable: true,
	},
	{
		Signal: Metrics, Name: "metrics", Item: "metric_points", Unit: "{datapoint}",
		Service: collector + "metrics.v1.MetricsService", Method: "/" + collector + "metrics.v1.MetricsService/Export",
		Path: "/v1/metrics", ReceiveOp: "MetricsReceived", Concatenable: true,
	},
	{
		Signal: Logs, Name: "logs", Item: "log_records", Unit: "{record}",
		Service: collector + "logs.v1.LogsService", Method: "/" + collector + "logs.v1.LogsService/Export",
		Path: "/v1/logs", ReceiveOp: "LogsReceived", Concatenable: true,
	},
	{
		Signal: Profiles, Name: "profiles", Item: "profile_samples", Unit: "{sample}",
		Service: collector + "profiles.v1development.ProfilesService", Method: "/" + collector + "profiles.v1development.ProfilesService/Export",
		Path: "/v1development/profiles", Aliases: []string{"/v1/profiles"},
		ReceiveOp: "ProfilesReceived", HasDictionary: true,
		Header: "otlp-profiles-development-version", HeaderValue: "1",
	},
}

// Signals lists the four signals in table order.
func Signals() [4]Signal { return [4]Signal{Traces, Metrics, Logs, Profiles} }

// Valid reports whether s is one of the four signals.
func (s Signal) Valid() bool { return s >= Traces && s <= Profiles }

// Spec returns the signal's entry of the table, an empty one if s is not valid.
// It is shared and must not be modified.
func (s Signal) Spec() *Spec {
	if !s.Valid() {
		return &specs[0]
	}
	return &specs[s]
}

// String returns the signal's configuration name, or "invalid signal".
func (s Signal) String() string {
	if !s.Valid() {
		return "invalid signal"
	}
	return specs[s].Name
}

// SignalByName returns the signal with this Name.
func SignalByName(name string) (Signal, bool) {
	for _, s := range Signals() {
		if specs[s].Name == name {
			return s, true
		}
	}
	return 0, false
}

// SignalByMethod returns the signal with this full gRPC Method.
func SignalByMethod(method string) (Signal, bool) {
	for _, s := range Signals() {
		if specs[s].Method == method {
			return s, true
		}
	}
	return 0, false
}

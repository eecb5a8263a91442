package loadgen

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock-telemetry/penstock/otlp"
)

// ErrNothingAcknowledged is the result of a run without a single acknowledged item.
var ErrNothingAcknowledged = errors.New("nothing was acknowledged")

// Counts has counts of requests, of their items, and of bytes before compression.
type Counts struct {
	RequestsSent         uint64 `json:"requests_sent"`
	RequestsAcknowledged uint64 `json:"requests_acknowledged"`
	// RequestsPartial is the number of acknowledged requests with rejected items.
	RequestsPartial uint64 `json:"requests_partial"`
	RequestsFailed  uint64 `json:"requests_failed"`

	ItemsSent         uint64 `json:"items_sent"`
	ItemsAcknowledged uint64 `json:"items_acknowledged"`
	// ItemsRejected is the number of items rejected by a partial success, ItemsFailed
	// that of items in failed requests.
	ItemsRejected uint64 `json:"items_rejected"`
	ItemsFailed   uint64 `json:"items_failed"`

	BytesAcknowledged uint64 `json:"bytes_acknowledged"`
	// Warnings is the number of acknowledgements with a warning, or with a response
	// that could not be decoded.
	Warnings uint64 `json:"warnings"`
}

func (c *Counts) add(o Counts) {
	c.RequestsSent += o.RequestsSent
	c.RequestsAcknowledged += o.RequestsAcknowledged
	c.RequestsPartial += o.RequestsPartial
	c.RequestsFailed += o.RequestsFailed
	c.ItemsSent += o.ItemsSent
	c.ItemsAcknowledged += o.ItemsAcknowledged
	c.ItemsRejected += o.ItemsRejected
	c.ItemsFailed += o.ItemsFailed
	c.BytesAcknowledged += o.BytesAcknowledged
	c.Warnings += o.Warnings
}

// Failure is the number of requests that failed with the same status.
type Failure struct {
	// Status is the gRPC code, "Unavailable", or "HTTP 503". Over HTTP it is a gRPC
	// code if there was no response.
	Status   string `json:"status"`
	Requests uint64 `json:"requests"`
	// RetryHints is the number of responses that said when to retry. The generator
	// does not retry.
	RetryHints uint64 `json:"retry_hints"`
	// Example is the message of the first failure.
	Example string `json:"example"`
}

// Quantiles has quantiles of times in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func quantilesOf(h *hdrhistogram.Histogram) Quantiles {
	at := func(percent float64) float64 { return float64(h.ValueAtQuantile(percent)) / 1e3 }
	return Quantiles{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1e3}
}

// Result is the result for the requests of one signal, or of all.
type Result struct {
	Counts
	// The throughput of acknowledged requests.
	RequestsPerSecond float64 `json:"requests_per_second"`
	ItemsPerSecond    float64 `json:"items_per_second"`
	BytesPerSecond    float64 `json:"bytes_per_second"`
	// Latency is the latency of acknowledged requests: at a constant rate from the time
	// they were due, otherwise from the time of sending.
	Latency Quantiles `json:"latency_ms"`
	// Delay is the time from when requests were due until they were sent: the part of
	// Latency that the generator and busy workers cause. 0 without a rate.
	Delay    Quantiles `json:"send_delay_ms"`
	Failures []Failure `json:"failures"`
}

func (t *tally) result(elapsed time.Duration) Result {
	s := elapsed.Seconds()
	r := Result{Counts: t.counts, Latency: quantilesOf(t.latency), Failures: t.sorted()}
	if s > 0 {
		r.RequestsPerSecond = float64(r.RequestsAcknowledged) / s
		r.ItemsPerSecond = float64(r.ItemsAcknowledged) / s
		r.BytesPerSecond = float64(r.BytesAcknowledged) / s
	}
	return r
}

// Report is the result of a run.
type Report struct {
	Protocol    string `json:"protocol"`
	Endpoint    string `json:"endpoint"`
	Compression string `json:"compression"`
	BatchItems  int    `json:"batch_items"`
	Workers     int    `json:"workers"`
	Connections int    `json:"connections"`
	Seed        uint64 `json:"seed"`
	// Rate is the configured rate in items per second; 0 means as fast as possible.
	Rate float64 `json:"rate_items_per_second"`

	ElapsedSeconds float64 `json:"elapsed_seconds"`
	// CPUSeconds is the CPU time that this process used for the run.
	CPUSeconds float64 `json:"cpu_seconds"`
	// Interrupted is true if the run was stopped before its end.
	Interrupted bool `json:"interrupted"`
	// RequestsUnsent is the number of requests that were due and not sent, since all
	// workers were busy until the end.
	RequestsUnsent uint64 `json:"requests_unsent"`

	Total    Result            `json:"total"`
	BySignal map[string]Result `json:"by_signal"`
}

// Err returns an error that wraps ErrNothingAcknowledged if no item was acknowledged.
func (r *Report) Err() error {
	if r.Total.ItemsAcknowledged > 0 {
		return nil
	}
	if len(r.Total.Failures) > 0 {
		f := r.Total.Failures[0]
		return fmt.Errorf("%w: %d requests failed with %s: %s", ErrNothingAcknowledged, f.Requests, f.Status, f.Example)
	}
	return ErrNothingAcknowledged
}

// WriteText writes the report as text.
func (r *Report) WriteText(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(format string, args ...any) { fmt.Fprintf(out, format+"\t\n", args...) }
	fmt.Fprintf(out, "%s to %s, %s in %.1f s, %.2f s of CPU here\n\n",
		r.Protocol, r.Endpoint, rateText(r.Rate), r.ElapsedSeconds, r.CPUSeconds)
	row("\trequests ok\titems ok\trejected\tfailed\titems/s\tMB/s\tp50 ms\tp90\tp99\tp99.9\tmax")
	for _, s := range otlp.Signals() {
		if res, ok := r.BySignal[s.String()]; ok {
			res.row(row, s.String())
		}
	}
	if len(r.BySignal) > 1 {
		r.Total.row(row, "total")
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return r.writeNotes(w)
}

func (r Result) row(row func(string, ...any), name string) {
	row("%s\t%d\t%d\t%d\t%d\t%.0f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f", name, r.RequestsAcknowledged, r.ItemsAcknowledged,
		r.ItemsRejected, r.ItemsFailed, r.ItemsPerSecond, r.BytesPerSecond/1e6,
		r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.P999, r.Latency.Max)
}

// writeNotes writes failures, warnings and delays.
func (r *Report) writeNotes(w io.Writer) (err error) {
	note := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	if len(r.Total.Failures) > 0 {
		note("\n%d requests failed:", r.Total.RequestsFailed)
	}
	for _, f := range r.Total.Failures {
		note("  %d  %s  (%d said when to retry)\n      first: %s", f.Requests, f.Status, f.RetryHints, f.Example)
	}
	if r.Total.Warnings > 0 {
		note("\n%d acknowledgements with a warning.", r.Total.Warnings)
	}
	if r.RequestsUnsent > 0 {
		note("\nThe rate was not reached: %d requests were due and not sent. Their latency is not counted.", r.RequestsUnsent)
	}
	if d := r.Total.Delay; d.P99 > 10 {
		note("\nRequests waited to be sent: p50 %.2f ms, p99 %.2f ms. More --workers may help.", d.P50, d.P99)
	}
	if r.Interrupted {
		note("\nThe run was interrupted.")
	}
	return err
}

func rateText(itemsPerSecond float64) string {
	if itemsPerSecond == 0 {
		return "as fast as possible"
	}
	return fmt.Sprintf("%.0f items/s", itemsPerSecond)
}

package badinput

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reasons are the values of the attribute reason of
// otelcol_receiver_refused_requests.
var reasons = []string{"auth", "too_large", "decompress", "decode", "admission", "not_found", "method", "media_type",
	"encoding", "shutdown", "broken_off", "pipeline", "internal"}

// parseMetric reads what must be counted: "" or "-" means that it is not checked.
// Otherwise the text is reasons with | between them, "any" for one of any reason,
// "none", or "accepted" for the items of a valid request.
func parseMetric(text string) ([]string, error) {
	if text == "" || text == "-" {
		return nil, nil
	}
	all := strings.Split(text, "|")
	for _, m := range all {
		if !slices.Contains(reasons, m) && !slices.Contains([]string{"any", "none", "accepted"}, m) {
			return nil, fmt.Errorf("unknown metric %q", m)
		}
	}
	return all, nil
}

// Counts are the server's counters: refused requests by reason, and the sums of
// its accepted and failed items.
type Counts struct {
	Refused          map[string]int64 // "reason/transport"
	Accepted, Failed int64
}

// NewCounts returns empty counts.
func NewCounts() Counts { return Counts{Refused: map[string]int64{}} }

// Add adds one series.
func (c *Counts) Add(name string, labels map[string]string, value int64) {
	name = strings.TrimSuffix(name, "_total")
	rest, ok := strings.CutPrefix(name, "otelcol_receiver_")
	switch {
	case !ok:
	case rest == "refused_requests":
		c.Refused[labels["reason"]+"/"+labels["transport"]] += value
	case strings.HasPrefix(rest, "accepted_"):
		c.Accepted += value
	case strings.HasPrefix(rest, "failed_"):
		c.Failed += value
	}
}

// since returns the refusals after before, on one transport.
func (c Counts) since(before Counts, transport string) map[string]int64 {
	delta := map[string]int64{}
	for k, v := range c.Refused {
		reason, t, _ := strings.Cut(k, "/")
		if d := v - before.Refused[k]; d != 0 && (t == transport || t == "") {
			delta[reason] += d
		}
	}
	return delta
}

// checkMetric says what is wrong with the counters, or returns "".
func checkMetric(c *Case, before, after Counts) string {
	accepted, refused := after.Accepted-before.Accepted, after.since(before, c.server())
	if d := after.Failed - before.Failed; d != 0 {
		return fmt.Sprintf("%d items were counted as failed, want 0", d)
	}
	if c.Bad() && accepted != 0 {
		return fmt.Sprintf("%d items were counted as accepted, want 0", accepted)
	}
	if c.metric == nil {
		return ""
	}
	total := int64(0)
	for _, n := range refused {
		total += n
	}
	for _, m := range c.metric {
		switch {
		case m == "accepted" && accepted == validItems && total == 0,
			m == "none" && total == 0,
			m == "any" && total == 1,
			total == 1 && refused[m] == 1:
			return ""
		}
	}
	return fmt.Sprintf("counted %d accepted items and the refusals %v, want %s once", accepted, refused, strings.Join(c.metric, " or "))
}

var sampleLine = regexp.MustCompile(`^(otelcol_receiver_[a-z_]+)(?:\{(.*)\})? (\S+)`)
var labelPair = regexp.MustCompile(`([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"`)

// ParsePrometheus reads the counters from the text of a /metrics page.
func ParsePrometheus(r io.Reader) (Counts, error) {
	c := NewCounts()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := sampleLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return c, fmt.Errorf("read metrics: line %q: %w", lines.Text(), err)
		}
		labels := map[string]string{}
		for _, p := range labelPair.FindAllStringSubmatch(m[2], -1) {
			labels[p[1]] = p[2]
		}
		c.Add(m[1], labels, int64(value))
	}
	if err := lines.Err(); err != nil {
		return c, fmt.Errorf("read metrics: %w", err)
	}
	return c, nil
}

// Scrape returns a source of counts that reads a /metrics page.
func Scrape(url string, timeout time.Duration) func(context.Context) (Counts, error) {
	client := &http.Client{Timeout: timeout}
	return func(ctx context.Context) (Counts, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return Counts{}, fmt.Errorf("scrape metrics: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return Counts{}, fmt.Errorf("scrape metrics: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return Counts{}, fmt.Errorf("scrape metrics from %s: expected 200, got %s", url, resp.Status)
		}
		return ParsePrometheus(resp.Body)
	}
}

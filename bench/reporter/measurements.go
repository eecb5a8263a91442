package main

import "slices"

// measurement is one measurement of both reporters, with several figures.
type measurement struct {
	name    string
	job     job
	alone   bool // the peer cannot do it
	figures []figure
}

// figure is a row of the table: a value of a report.
type figure struct {
	name, unit  string
	of          func(report) float64
	target      float64
	ratioTarget float64
}

func cpuPerCall(r report) float64  { return r.CPUSeconds * 1e9 / float64(r.Calls) }
func wallPerCall(r report) float64 { return r.WallSeconds * 1e9 / float64(r.Calls) }
func allocs(r report) float64      { return float64(r.Mallocs) / float64(r.Calls) }

func memoryMiB(r report) float64 { return float64(r.MemoryBytes) / (1 << 20) }

var measurements = []measurement{
	{
		name: "event, 1 goroutine", job: job{Kind: kindEvent, Goroutines: 1},
		figures: []figure{
			{name: "ReportTraceEvent, known stack of 24, 1 goroutine: CPU", unit: "ns", of: cpuPerCall, target: 400, ratioTarget: 400.0 / 1560},
			{name: "    allocations", of: allocs},
		},
	},
	{
		name: "event, 8 goroutines", job: job{Kind: kindEvent, Goroutines: 8},
		figures: []figure{
			{name: "ReportTraceEvent, known stack of 24, 8 goroutines: CPU", unit: "ns", of: cpuPerCall, target: 400, ratioTarget: 400.0 / 1560},
			{name: "    wall", unit: "ns", of: wallPerCall},
			{name: "    allocations", of: allocs},
		},
	},
	{
		name: "count, one trace", job: job{Kind: kindCount, Goroutines: 8, Traces: 1}, alone: true,
		figures: []figure{
			{name: "ReportCountForTrace, one trace, 8 goroutines: wall", unit: "ns", of: wallPerCall, target: 150},
			{name: "    CPU", unit: "ns", of: cpuPerCall},
			{name: "    allocations", of: allocs},
		},
	},
	{
		name: "count, 10,000 traces", job: job{Kind: kindCount, Goroutines: 8, Traces: 10_000}, alone: true,
		figures: []figure{
			{name: "ReportCountForTrace, 10,000 traces, 8 goroutines: wall", unit: "ns", of: wallPerCall, target: 150},
			{name: "    CPU", unit: "ns", of: cpuPerCall},
			{name: "    allocations", of: allocs},
		},
	},
	{
		name: "flush", job: job{Kind: kindFlush},
		figures: []figure{
			{name: "1,000,000 events, 50,000 stacks of 24: report: CPU", unit: "s", of: func(r report) float64 { return r.ReportCPUSeconds }},
			{name: "    flush to wire bytes: CPU", unit: "s", of: func(r report) float64 { return r.CPUSeconds }, target: 0.15, ratioTarget: 0.15 / 0.28},
			{name: "    wire bytes", unit: "MB", of: func(r report) float64 { return float64(r.WireBytes) / 1e6 }},
		},
	},
	{
		name: "live heap", job: job{Kind: kindLive},
		figures: []figure{{name: "    live heap, peak in addition to the memory before", unit: "MiB", of: memoryMiB, target: 64}},
	},
	{
		name: "resident", job: job{Kind: kindResident},
		figures: []figure{{name: "    resident, peak in addition to the memory before", unit: "MiB", of: memoryMiB}},
	},
	{
		name: "windows", job: job{Kind: kindFlush, Windows: true}, alone: true,
		figures: []figure{
			{name: "the same in windows of the default size: all CPU", unit: "s", of: func(r report) float64 { return r.TotalCPUSeconds }},
			{name: "    requests", of: func(r report) float64 { return float64(r.Requests) }},
			{name: "    wire bytes", unit: "MB", of: func(r report) float64 { return float64(r.WireBytes) / 1e6 }},
		},
	},
	{
		name: "windows, live heap", job: job{Kind: kindLive, Windows: true}, alone: true,
		figures: []figure{{name: "    live heap, peak in addition to the memory before", unit: "MiB", of: memoryMiB, target: 64}},
	},
	{
		name: "windows, resident", job: job{Kind: kindResident, Windows: true}, alone: true,
		figures: []figure{{name: "    resident, peak in addition to the memory before", unit: "MiB", of: memoryMiB}},
	},
}

// take runs all rounds and returns the rows.
func (m measurement) take(o options) ([]row, error) {
	var mine, theirs []report
	for range o.rounds {
		j := m.job
		j.Scale = o.scale
		if !m.alone {
			j.Who = peer
			r, err := runChild(j)
			if err != nil {
				return nil, err
			}
			theirs = append(theirs, r)
		}
		j.Who = ours
		r, err := runChild(j)
		if err != nil {
			return nil, err
		}
		mine = append(mine, r)
	}
	rows := make([]row, len(m.figures))
	for i, f := range m.figures {
		rows[i] = f.row(mine, theirs)
	}
	return rows, nil
}

func (f figure) row(mine, theirs []report) row {
	r := row{Name: f.name, Unit: f.unit, Ours: median(each(mine, f.of)), Target: f.target, RatioTarget: f.ratioTarget}
	if len(theirs) == 0 {
		return r
	}
	r.Peer = median(each(theirs, f.of))
	ratios := make([]float64, len(mine))
	for i := range mine {
		if base := f.of(theirs[i]); base > 0 {
			ratios[i] = f.of(mine[i]) / base
		}
	}
	r.Ratio, r.RatioMin, r.RatioMax = median(ratios), slices.Min(ratios), slices.Max(ratios)
	return r
}

func each(rs []report, of func(report) float64) []float64 {
	v := make([]float64, len(rs))
	for i, r := range rs {
		v[i] = of(r)
	}
	return v
}

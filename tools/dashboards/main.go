// Command dashboards compares the metrics that an OpenTelemetry Collector and penstock
// serve of themselves: both run with the same configuration and get the same traffic,
// both are scraped, and the queries of dashboards are evaluated with Prometheus's engine.
//
//	go run ./dashboards -collector ./otelcol [-lists DIR] dashboard.json...
//	go run ./dashboards -collector ./otelcol -outage -config CONFIG -lists DIR
//
//	loadgen ─┬─► Collector ─► metrics ─► storage ─┐
//	         └─► penstock  ─► metrics ─► storage ─┴─► each query of each dashboard ─► table
//
// The Collector is any build with the components otlp, otlphttp, memory_limiter, batch,
// debug, health_check and file_storage; the dashboards are files that Grafana exports. The table, in Markdown, has a row for each
// metric that a query reads, and belongs into docs/compatibility.md. With -lists, the names
// and labels that the Collector serves at each level are written for the test of package
// service.
//
// Each case is a level, names with or without the suffixes of unit and type, and what the
// scraper asks for: Prometheus gets dots in names from version 3.0 on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

type flags struct {
	collector, penstock, config, lists string
	took                               time.Duration
	outage                             bool
}

func main() {
	var f flags
	flag.StringVar(&f.collector, "collector", "", "`program` of the Collector")
	flag.StringVar(&f.penstock, "penstock", "", "`program` of penstock (default: built from this repository)")
	flag.StringVar(&f.config, "config", "../service/testdata/collectormetrics/config.yaml", "configuration `file` of both")
	flag.StringVar(&f.lists, "lists", "", "`folder` for the names and labels that the Collector serves at each level")
	flag.DurationVar(&f.took, "duration", 20*time.Second, "duration of the traffic of each case")
	flag.BoolVar(&f.outage, "outage", false, "stop what takes the traffic for the middle third of each case")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &f, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f *flags, files []string) error {
	if f.collector == "" {
		return errors.New("-collector is not set: expected a program")
	}
	dir, err := os.MkdirTemp("", "dashboards")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if f.penstock == "" {
		f.penstock = filepath.Join(dir, "penstock")
		build := exec.CommandContext(ctx, "go", "build", "-o", f.penstock, "./cmd/penstock")
		build.Dir, build.Stderr = "..", os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build penstock: %w", err)
		}
	}
	var queries []query
	for _, file := range files {
		of, err := readDashboard(file)
		if err != nil {
			return err
		}
		queries = append(queries, of...)
	}
	sink, err := startSink(ctx, f.penstock, dir)
	if err != nil {
		return err
	}
	defer sink.stop()
	var found results
	for _, level := range []string{"basic", "normal", "detailed"} {
		for _, suffixes := range []bool{false, true} {
			c := configuration{level: level, suffixes: suffixes}
			scraped, err := compare(ctx, f, dir, sink, c)
			if err != nil {
				return fmt.Errorf("level %s: %w", level, err)
			}
			if f.lists != "" && !suffixes {
				if err := writeList(filepath.Join(f.lists, level+".txt"), scraped["Collector"][utf8Names].last); err != nil {
					return err
				}
			}
			if err := found.evaluate(ctx, queries, c, scraped, f.took); err != nil {
				return err
			}
		}
	}
	found.print(os.Stdout)
	return nil
}

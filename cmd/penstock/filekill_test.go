//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

const toFile = `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}}
exporters: {file: {path: "%s", append: true, %s}}
service:
  telemetry: {metrics: {level: none}, logs: {encoding: json}}
  pipelines: {logs: {receivers: [otlp], exporters: [file]}}
`

// What the file exporter has acknowledged is in its file after kill -9, in every format,
// also with the Collector's flush_interval.
func TestFileKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{
		"format: json", "format: proto", "format: json, compression: zstd", "format: proto, compression: zstd",
		"format: proto, acknowledge: synced",
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "f")
			acknowledged := map[string]bool{}
			for round := range 3 {
				sendAndKill(t, fmt.Sprintf(toFile, path, settings+", flush_interval: 1h"), round, acknowledged)
			}
			inFile := recordsIn(t, path)
			lost := 0
			for id := range acknowledged {
				if !inFile[id] {
					lost++
				}
			}
			if lost > 0 || len(acknowledged) == 0 {
				t.Errorf("of %d acknowledged requests %d are not in the file, which has %d", len(acknowledged), lost, len(inFile))
			}
		})
	}
}

// sendAndKill runs penstock under load, kills it, and adds the requests that were
// acknowledged.
func sendAndKill(t *testing.T, yaml string, round int, acknowledged map[string]bool) {
	t.Helper()
	c := runChild(t, exec.Command("penstock", "--config", "yaml:"+yaml))
	var line struct{ Endpoint string }
	if err := json.Unmarshal([]byte(c.await(t, `"msg":"Starting GRPC server"`)), &line); err != nil {
		t.Fatal(err)
	}
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint = "http://" + line.Endpoint
	client, err := otlpclient.NewGRPC(cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const clients, before = 8, 200
	ids := make(chan string)
	var sending sync.WaitGroup
	for n := range clients {
		sending.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("record-%d-%d-%d.", round, n, i)
				if _, err := client.Send(ctx, otlpclient.Request{Signal: otlp.Logs, Bytes: logOf(id)}); err == nil {
					ids <- id
				}
			}
		})
	}
	go func() { sending.Wait(); close(ids) }()
	count := 0
	for id := range ids {
		acknowledged[id] = true
		if count++; count == before {
			if err := c.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			go func() { c.exit(t); stop() }()
		}
	}
}

func logOf(id string) []byte {
	var e otlp.Encoder
	resource := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	scope := resource.AddScopeLogs()
	record := scope.AddLogRecords()
	record.SetSeverityText(id + strings.Repeat(" text", 50))
	record.Close()
	scope.Close()
	resource.Close()
	return e.Buf
}

var recordID = regexp.MustCompile(`record-\d+-\d+-\d+\.`)

// recordsIn returns the ids in a file. An incomplete record at its end is ignored.
func recordsIn(t *testing.T, path string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	requests, err := fileexporter.NewRequests(bytes.NewReader(data), otlp.Logs, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for {
		_, wire, err := requests.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ids
		} else if err != nil {
			t.Fatal(err)
		}
		ids[string(recordID.Find(wire))] = true
	}
}

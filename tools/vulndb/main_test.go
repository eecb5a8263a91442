package main

import (
	"encoding/json"
	"testing"
	"time"
)

// A report is indexed under each module that it affects, once, with the version that
// has no fault.
func TestIndex(t *testing.T) {
	const report = `{"id":"GO-1","affected":[
		{"package":{"name":"b.example/m"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"1.2.0"},{"introduced":"2.0.0"},{"fixed":"2.1.0"}]}]},
		{"package":{"name":"b.example/m"},"ranges":[{"events":[{"introduced":"0"}]}]},
		{"package":{"name":"a.example/m"},"ranges":[{"events":[{"introduced":"0"}]}]}]}`
	modules := map[string][]vuln{}
	if err := index(modules, []byte(report), time.Unix(0, 0).UTC()); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(listOf(modules))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"path":"a.example/m","vulns":[{"id":"GO-1","modified":"1970-01-01T00:00:00Z"}]},` +
		`{"path":"b.example/m","vulns":[{"id":"GO-1","modified":"1970-01-01T00:00:00Z","fixed":"2.1.0"}]}]`
	if string(got) != want {
		t.Errorf("index:\n%s\nwant\n%s", got, want)
	}
}

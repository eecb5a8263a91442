// Command profileself is a program that profiles itself with one line. Where the profiles
// go and what the program is called are environment variables of OpenTelemetry:
//
//	penstock &
//	OTEL_SERVICE_NAME=shop OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 go run ./examples/profileself -for 20s
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/reporter"
)

func main() {
	runFor := flag.Duration("for", 20*time.Second, "how long to run")
	flag.Parse()
	defer reporter.ProfileSelf(reporter.SelfConfig{})()

	kept := work(time.Now().Add(*runFor))
	fmt.Println(len(kept), "hashes")
}

// work uses the CPU and memory.
func work(until time.Time) (kept [][]byte) {
	for time.Now().Before(until) {
		data := make([]byte, 64<<10)
		sum := sha256.Sum256(data)
		if len(kept) < 100 {
			kept = append(kept, append(data, sum[:]...))
		}
	}
	return kept
}

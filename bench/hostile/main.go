// Command hostile runs bad clients against penstock. It measures how their
// connections end, the latency of a good client at the same time, and the memory
// of the server.
//
//	go run ./hostile                      all scenarios at reduced scale, some minutes
//	go run ./hostile -full                full scale: 10,000 connections, a minute of overload
//	go run ./hostile -scenario 'bomb|idle' -scale 100
//
// penstock is built from the source tree and started for each scenario. The good
// clients run in this process, the bad ones in others with a lower priority,
// since real ones would run on other machines. It needs Linux, the address range
// 127.0.0.0/8, and some 20,000 file descriptors for each process. The exit code
// is 1 if a scenario failed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	scale     int           // percentage of the full number of bad clients
	window    time.Duration // of each measurement of the good clients alone
	load      time.Duration // how long overload, rotation and churn last
	slow      time.Duration // how long the server may take to disconnect slow clients
	limitMiB  int           // of memory_limiter; 0 means none
	pin       bool          // give the server its own processor
	perSecond int           // requests of each good client
	verbose   bool
	binary    string // the penstock to attack, instead of one built from the source tree
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(childMain())
	}
	only := flag.String("scenario", "", "run the scenarios whose name this regular expression matches")
	full := flag.Bool("full", false, "full scale: -scale 100 -for 60s -alone 20s -slow 75s, unless they are given")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	list := flag.Bool("list", false, "print the names of the scenarios")
	var opt options
	flag.IntVar(&opt.scale, "scale", 10, "percentage of the full number of bad clients")
	flag.DurationVar(&opt.load, "for", 8*time.Second, "how long overload, rotation and churn last")
	flag.DurationVar(&opt.window, "alone", time.Second, "how long the good clients are measured alone, before and after")
	flag.DurationVar(&opt.slow, "slow", 30*time.Second, "how long the server may take to disconnect slow and stalled clients")
	flag.BoolVar(&opt.pin, "pin", false, "give the server the first processor and the bad clients the others (needs taskset)")
	flag.IntVar(&opt.limitMiB, "limit-mib", 256, "limit_mib of memory_limiter, the maximum of VmHWM; 0: no limit")
	flag.IntVar(&opt.perSecond, "rate", 75, "requests a second of each good client")
	flag.StringVar(&opt.binary, "binary", "", "attack this penstock, instead of one that is built from the source tree")
	flag.BoolVar(&opt.verbose, "v", false, "print more results of the clients")
	flag.Parse()
	if *full {
		opt.fill()
	}
	if err := run(opt, *only, *asJSON, *list); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

// fill sets the options that are not on the command line to full scale.
func (o *options) fill() {
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, to := range map[string]string{"scale": "100", "for": "60s", "alone": "20s", "slow": "75s"} {
		if !given[name] {
			_ = flag.Set(name, to) // the flags exist and the values are valid
		}
	}
}

// of scales a full number of something.
func (o options) of(full int) int { return max(full*o.scale/100, 1) }

func run(opt options, only string, asJSON, list bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-scenario: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "penstock-hostile")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h := &host{opt: opt, dir: dir, bin: filepath.Join(dir, "penstock")}
	if !list {
		if err := h.prepare(); err != nil {
			return err
		}
	}
	var results []result
	for _, sc := range scenarios() {
		if !match.MatchString(sc.name) {
			continue
		}
		if list {
			fmt.Println(sc.name)
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", sc.name)
		began := time.Now()
		r := sc.measure(ctx, h)
		r.Seconds = time.Since(began).Seconds()
		results = append(results, r)
		if ctx.Err() != nil {
			break
		}
	}
	return show(results, asJSON)
}

// show prints the results. Its error names the scenarios that failed.
func show(results []result, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
			return err
		}
	} else {
		printTable(os.Stdout, results)
	}
	var failed []string
	for _, r := range results {
		if len(r.Faults) > 0 {
			failed = append(failed, r.Scenario)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d scenarios failed: %s", len(failed), len(results), strings.Join(failed, ", "))
	}
	return nil
}

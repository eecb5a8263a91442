// Command penstock receives OpenTelemetry traces, metrics, logs and profiles,
// processes them and sends them on.
//
//	penstock                       run with the built-in configuration
//	penstock --config file.yaml    run
//	penstock reload                have a running penstock load its configuration again
//	penstock validate --config ... check a configuration
//	penstock test-config file      show what processors do to sample telemetry
//	penstock print-config          show the configuration in effect
//	penstock components            list the component types of this build
//	penstock report target...      profile Go processes and send the profiles
//	penstock convert [file]        convert profiles between OTLP and pprof
//	penstock loadgen               send generated telemetry to a server
//	penstock journal               look at a journal on the disk
//	penstock dead-letter           look at, send and drop what was refused for good
//	penstock version               show the version
//
// Each command has a file in this directory. The exit code is 0 for success, 1 for a
// failure at run time, 2 for an invalid command line, and 78 (EX_CONFIG of sysexits) for
// an invalid configuration.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/service"
)

// The exit codes other than 0.
const (
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 78
)

// gRPC allows registration only in init functions.
func init() { otlpreceiver.RegisterGRPCEncodings() }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program, except for os.Exit.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignalled(stderr)
	defer stop()
	a := &app{stdout: stdout, stderr: stderr}
	root := a.command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	return a.report(ran.CommandPath(), err)
}

// report prints the error of a command and returns the exit code.
func (a *app) report(command string, err error) int {
	var problems service.ConfigErrors
	switch {
	case err == nil:
		return 0
	case !a.began:
		fmt.Fprintf(a.stderr, "penstock: %v\nRun '%s --help' for usage.\n", err, command)
		return exitUsage
	case errors.As(err, &problems):
		fmt.Fprintf(a.stderr, "%v\n%s in the configuration\n", problems, count(len(problems), "problem"))
		return exitConfig
	case err == errRefused:
		return exitConfig
	default:
		fmt.Fprintf(a.stderr, "penstock: %v\n", err)
		return exitFailure
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

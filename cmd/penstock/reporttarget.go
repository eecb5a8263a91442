package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// isTarget reports whether arg is the address of a process; otherwise it is a file or a
// pattern of files. Since a file need not exist yet, an argument that looks like neither
// is an error: the command would wait for it forever.
func isTarget(arg string) (bool, error) {
	const want = "expected host:port, a URL, or a pattern of files"
	if strings.Contains(arg, "://") || isHostPort(arg) {
		return true, nil
	}
	if _, err := os.Stat(arg); err == nil {
		return false, nil
	}
	host, path, slash := strings.Cut(arg, "/")
	if slash && isHostPort(host) {
		return false, fmt.Errorf("%q is neither a target nor a file: did you mean http://%s/%s?", arg, host, path)
	}
	if _, port, err := net.SplitHostPort(arg); err == nil && isDigits(port) && !slash {
		return false, fmt.Errorf("%q is neither a target nor a file: expected a port from 1 to 65535", arg)
	}
	isAddress := net.ParseIP(strings.Trim(arg, "[]")) != nil
	if isAddress || !looksLikeFile(arg) {
		return false, fmt.Errorf("%q is neither a target nor a file: %s", arg, want)
	}
	return false, nil
}

func looksLikeFile(arg string) bool {
	return strings.ContainsAny(arg, "/*?["+string(os.PathSeparator)) ||
		strings.HasSuffix(arg, ".pb.gz") || strings.HasSuffix(arg, ".pprof")
}

func isHostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil || strings.Contains(s, "/") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// filesName returns the name of the patterns in the table: up to two of them, and the
// number of the others.
func filesName(patterns []string) string {
	if len(patterns) > 2 {
		return fmt.Sprintf("%s, %s and %d more", patterns[0], patterns[1], len(patterns)-2)
	}
	return strings.Join(patterns, ", ")
}

// Command protogen writes the Go code of the .proto files it is given, without
// protoc: it compiles them with protocompile and runs the two plugins that this
// module's go.mod pins.
//
//	file.proto ─► descriptors ─► CodeGeneratorRequest ─┬─► protoc-gen-go ──────► file.pb.go
//	                                                   └─► protoc-gen-go-grpc ─► file_grpc.pb.go
//
// With -check it writes nothing and fails where a file is not what it would be.
//
// The one trap: the plugins print their own version into what they write, so the
// output changes with go.mod.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// plugins are what "go tool" runs, with their parameters.
var plugins = []struct{ name, parameter string }{
	{"protoc-gen-go", "paths=source_relative"},
	{"protoc-gen-go-grpc", "paths=source_relative"},
}

func main() {
	root := flag.String("root", ".", "the folder that the .proto files' paths begin at")
	check := flag.Bool("check", false, "write nothing, fail where a file would change")
	flag.Parse()
	if err := run(*root, flag.Args(), *check); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(root string, files []string, check bool) error {
	if len(files) == 0 {
		return fmt.Errorf("expected the paths of .proto files below %s", root)
	}
	request, err := compile(root, files)
	if err != nil {
		return err
	}
	for _, p := range plugins {
		request.Parameter = proto.String(p.parameter)
		written, err := generate(p.name, request)
		if err != nil {
			return err
		}
		for _, f := range written {
			if err := settle(filepath.Join(root, f.GetName()), []byte(f.GetContent()), check); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile reads the files and what they import. Comments are kept: they become
// the generated code's.
func compile(root string, files []string) (*pluginpb.CodeGeneratorRequest, error) {
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := c.Compile(context.Background(), files...)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: files}
	seen := map[string]bool{}
	for _, f := range compiled {
		request.ProtoFile = append(request.ProtoFile, withImports(f, seen)...)
	}
	return request, nil
}

// generate runs one plugin: a request on its standard input, the answer on its
// standard output (plugin.proto).
func generate(plugin string, request *pluginpb.CodeGeneratorRequest) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request to %s: %w", plugin, err)
	}
	cmd := exec.Command("go", "tool", plugin)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w", plugin, err)
	}
	answer := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out.Bytes(), answer); err != nil {
		return nil, fmt.Errorf("decode the answer of %s: %w", plugin, err)
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, answer.GetError())
	}
	return answer.File, nil
}

func settle(path string, content []byte, check bool) error {
	if !check {
		return os.WriteFile(path, content, 0o644)
	}
	if found, err := os.ReadFile(path); err != nil || !bytes.Equal(found, content) {
		return fmt.Errorf("%s is not up to date: run go generate ./reporter/collectionagent/... in the root", path)
	}
	return nil
}

// withImports returns f after everything that it imports, each file once.
func withImports(f protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[f.Path()] {
		return nil
	}
	seen[f.Path()] = true
	var all []*descriptorpb.FileDescriptorProto
	for i := range f.Imports().Len() {
		all = append(all, withImports(f.Imports().Get(i).FileDescriptor, seen)...)
	}
	return append(all, protoutil.ProtoFromFileDescriptor(f))
}

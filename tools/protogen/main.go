// Command protogen generates the Go code of .proto files without protoc: it compiles
// them with protocompile and runs the two plugins in the versions of this module's
// go.mod.
//
//	file.proto ─► descriptors ─► CodeGeneratorRequest ─┬─► protoc-gen-go ──────► file.pb.go
//	                                                   └─► protoc-gen-go-grpc ─► file_grpc.pb.go
//
// With -check it writes nothing, and fails if a file differs from its output.
//
// The plugins write their version into the output, which therefore changes with go.mod.
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

// plugins are the names of the plugins for "go tool", with their parameters.
var plugins = []struct{ name, parameter string }{
	{"protoc-gen-go", "paths=source_relative"},
	{"protoc-gen-go-grpc", "paths=source_relative"},
}

func main() {
	root := flag.String("root", ".", "directory to which the paths of the .proto files are relative")
	check := flag.Bool("check", false, "write nothing; fail if a file would change")
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
			if err := put(filepath.Join(root, f.GetName()), []byte(f.GetContent()), check); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile reads the files and their imports, with the comments, which are copied to the
// generated code.
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

// generate runs one plugin, which reads a request from standard input and writes the
// response to standard output (plugin.proto).
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
		return nil, fmt.Errorf("decode the response of %s: %w", plugin, err)
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, answer.GetError())
	}
	return answer.File, nil
}

func put(path string, content []byte, check bool) error {
	if !check {
		return os.WriteFile(path, content, 0o644)
	}
	if found, err := os.ReadFile(path); err != nil || !bytes.Equal(found, content) {
		return fmt.Errorf("%s is out of date: run go generate ./reporter/collectionagent/... in the root", path)
	}
	return nil
}

// withImports returns f and its imports, each file once, imports first.
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

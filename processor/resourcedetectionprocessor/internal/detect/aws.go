package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ec2URL is the instance metadata service of EC2, unless AWS_EC2_METADATA_SERVICE_ENDPOINT
// names another address of it.
const ec2URL = "http://169.254.169.254"

// identity is the instance identity document of EC2.
type identity struct {
	AccountID        string `json:"accountId"`
	AvailabilityZone string `json:"availabilityZone"`
	ImageID          string `json:"imageId"`
	InstanceID       string `json:"instanceId"`
	InstanceType     string `json:"instanceType"`
	Region           string `json:"region"`
}

// imds is the instance metadata service of EC2.
type imds struct {
	*Host
	url    string
	header map[string]string
}

// imds asks for a token of IMDSv2. A service that has none is used without.
func (h *Host) imds(ctx context.Context) (imds, error) {
	if strings.EqualFold(h.env("AWS_EC2_METADATA_DISABLED"), "true") {
		return imds{}, errors.New("AWS_EC2_METADATA_DISABLED is true")
	}
	s := imds{Host: h, url: ec2URL}
	if at := h.env("AWS_EC2_METADATA_SERVICE_ENDPOINT"); at != "" {
		s.url = strings.TrimSuffix(at, "/")
	}
	token, _, err := h.do(ctx, h.Web, http.MethodPut, s.url+"/latest/api/token", map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "300"})
	switch {
	case err == nil:
		s.header = map[string]string{"X-aws-ec2-metadata-token": string(token)}
	case !answered(err, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed):
		return imds{}, err
	}
	return s, nil
}

func (s imds) get(ctx context.Context, path string) (string, error) {
	return s.text(ctx, s.url+"/latest/"+path, s.header)
}

func (s imds) identity(ctx context.Context) (doc identity, err error) {
	text, err := s.get(ctx, "dynamic/instance-identity/document")
	if err == nil {
		err = json.Unmarshal([]byte(text), &doc)
	}
	if err != nil {
		err = fmt.Errorf("read the instance identity document: %w", err)
	}
	return doc, err
}

func detectEC2(ctx context.Context, h *Host, o Options, r *Resource) error {
	s, err := h.imds(ctx)
	if err == nil {
		_, err = s.get(ctx, "meta-data/instance-id")
	}
	if err != nil {
		return notHere("ask the instance metadata service of EC2: %w", err)
	}
	doc, err := s.identity(ctx)
	if err != nil {
		return err
	}
	hostname, err := s.get(ctx, "meta-data/hostname")
	if err != nil {
		return fmt.Errorf("read the host name of the instance: %w", err)
	}
	r.setAll("cloud.provider", "aws", "cloud.platform", "aws_ec2")
	doc.set(r)
	r.Set("host.name", hostname)
	if len(o.Tags) > 0 {
		s.tags(ctx, o, r)
	}
	return nil
}

func (d identity) set(r *Resource) {
	r.setAll("cloud.region", d.Region, "cloud.account.id", d.AccountID, "cloud.availability_zone", d.AvailabilityZone,
		"host.id", d.InstanceID, "host.image.id", d.ImageID, "host.type", d.InstanceType)
}

// tags sets the tags of the instance whose keys match. They are not taken from EC2's API,
// which needs signed requests.
func (s imds) tags(ctx context.Context, o Options, r *Resource) {
	if !o.TagsFromIMDS {
		o.Log.Warn("tags of the EC2 instance are read from the instance metadata service only; set ec2.tags_from_imds: true, and InstanceMetadataTags of the instance")
	}
	keys, err := s.get(ctx, "meta-data/tags/instance")
	if err != nil {
		o.Log.Warn("the tags of the EC2 instance are left out", "error", err)
		return
	}
	for _, key := range strings.Fields(keys) {
		if !o.matches(key) {
			continue
		}
		value, err := s.get(ctx, "meta-data/tags/instance/"+key)
		if err != nil {
			o.Log.Warn("a tag of the EC2 instance is left out", "tag", key, "error", err)
			continue
		}
		r.Add("ec2.tag."+key, value)
	}
}

func detectLambda(_ context.Context, h *Host, _ Options, r *Resource) error {
	name := h.env("AWS_LAMBDA_FUNCTION_NAME")
	if name == "" {
		return notHere("AWS_LAMBDA_FUNCTION_NAME is not set")
	}
	r.setAll("cloud.provider", "aws", "cloud.platform", "aws_lambda", "faas.name", name)
	h.setFromEnv(r, "cloud.region", "AWS_REGION", "faas.version", "AWS_LAMBDA_FUNCTION_VERSION",
		"faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME", "faas.max_memory", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
	for key, variable := range map[string]string{"aws.log.group.names": "AWS_LAMBDA_LOG_GROUP_NAME", "aws.log.stream.names": "AWS_LAMBDA_LOG_STREAM_NAME"} {
		if v, ok := h.LookupEnv(variable); ok {
			r.Set(key, []string{v})
		}
	}
	return nil
}

// setFromEnv sets attributes from variables that are set, given in turns.
func (h *Host) setFromEnv(r *Resource, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if v, ok := h.LookupEnv(pairs[i+1]); ok {
			r.Set(pairs[i], v)
		}
	}
}

// beanstalkFile is where Elastic Beanstalk writes the configuration of X-Ray.
const beanstalkFile = "/var/elasticbeanstalk/xray/environment.conf"

func detectBeanstalk(_ context.Context, h *Host, _ Options, r *Resource) error {
	text, err := h.ReadFile(beanstalkFile)
	if err != nil {
		return notHere("read the configuration of Elastic Beanstalk: %w", err)
	}
	var conf struct {
		DeploymentID    json.Number `json:"deployment_id"`
		EnvironmentName string      `json:"environment_name"`
		VersionLabel    string      `json:"version_label"`
	}
	if err := decode(beanstalkFile, text, &conf); err != nil {
		return err
	}
	r.setAll("cloud.provider", "aws", "cloud.platform", "aws_elastic_beanstalk", "service.instance.id", conf.DeploymentID.String(),
		"deployment.environment", conf.EnvironmentName, "service.version", conf.VersionLabel)
	return nil
}

package resourcedetectionprocessor

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor/internal/detect"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// Detectors are run at the same time. Where several find an attribute, the first in
	// the list counts.
	Detectors []string `yaml:"detectors"`
	// Override replaces attributes that a resource has already.
	Override bool `yaml:"override"`
	// HTTPClient has Timeout, which bounds the detection. Its other keys have no effect.
	config.HTTPClient `yaml:",inline"`
	// RefreshInterval is the time between detections; 0: there is one, at the start.
	RefreshInterval time.Duration `yaml:"refresh_interval"`
	// FailOnMissingMetadata makes it an error that a platform is not there.
	FailOnMissingMetadata bool `yaml:"fail_on_missing_metadata"`
	// Retry is for detectors that fail. Without MaxElapsedTime all attempts together take
	// Timeout at most; with it Timeout is for each attempt.
	Retry config.Retry `yaml:"retry"`
	// Attributes, if it is not empty, are the only ones that are set. It is a key of older
	// Collectors; resource_attributes of each detector replaces it.
	Attributes []string `yaml:"attributes,omitempty"`

	Akamai             Section           `yaml:"akamai,omitempty"`
	AKS                Section           `yaml:"aks,omitempty"`
	AlibabaECS         CloudSection      `yaml:"alibaba_ecs,omitempty"`
	Azure              AzureSection      `yaml:"azure,omitempty"`
	AzureAppService    Section           `yaml:"azureappservice,omitempty"`
	AzureContainerApps Section           `yaml:"azurecontainerapps,omitempty"`
	Consul             ConsulSection     `yaml:"consul,omitempty"`
	DigitalOcean       Section           `yaml:"digitalocean,omitempty"`
	Docker             Section           `yaml:"docker,omitempty"`
	EC2                EC2Section        `yaml:"ec2,omitempty"`
	ECS                Section           `yaml:"ecs,omitempty"`
	EKS                NodeSection       `yaml:"eks,omitempty"`
	ElasticBeanstalk   Section           `yaml:"elasticbeanstalk,omitempty"`
	GCP                LabelSection      `yaml:"gcp,omitempty"`
	Heroku             Section           `yaml:"heroku,omitempty"`
	Hetzner            Section           `yaml:"hetzner,omitempty"`
	IBMCloudClassic    Section           `yaml:"ibmcloud_classic,omitempty"`
	IBMCloudVPC        IBMVPCSection     `yaml:"ibmcloud_vpc,omitempty"`
	K8sAPI             KubernetesSection `yaml:"k8s_api,omitempty"`
	K8sNode            KubernetesSection `yaml:"k8snode,omitempty"`
	Kubeadm            KubernetesSection `yaml:"kubeadm,omitempty"`
	Lambda             Section           `yaml:"lambda,omitempty"`
	Nova               NovaSection       `yaml:"nova,omitempty"`
	OpenShift          OpenShiftSection  `yaml:"openshift,omitempty"`
	OracleCloud        Section           `yaml:"oraclecloud,omitempty"`
	Scaleway           Section           `yaml:"scaleway,omitempty"`
	System             SystemSection     `yaml:"system,omitempty"`
	TencentCVM         CloudSection      `yaml:"tencent_cvm,omitempty"`
	UpCloud            CloudSection      `yaml:"upcloud,omitempty"`
	Vultr              CloudSection      `yaml:"vultr,omitempty"`

	// shared is the detection of all processors that are made of this configuration and
	// its copies.
	shared *pipeline.Shared[struct{}, *detection]
}

// Section has the settings of a detector.
type Section struct {
	ResourceAttributes Switches `yaml:"resource_attributes,omitempty"`
}

// CloudSection is a Section with a key of older Collectors.
type CloudSection struct {
	ResourceAttributes    Switches `yaml:"resource_attributes,omitempty"`
	FailOnMissingMetadata bool     `yaml:"fail_on_missing_metadata,omitempty"`
}

// EC2Section has the settings of the detector ec2. Tags are regular expressions of the keys
// of tags that become attributes.
type EC2Section struct {
	ResourceAttributes    Switches       `yaml:"resource_attributes,omitempty"`
	Tags                  []string       `yaml:"tags,omitempty"`
	TagsFromIMDS          bool           `yaml:"tags_from_imds,omitempty"`
	FailOnMissingMetadata bool           `yaml:"fail_on_missing_metadata,omitempty"`
	MaxAttempts           config.Ignored `yaml:"max_attempts,omitempty"`
	MaxBackoff            config.Ignored `yaml:"max_backoff,omitempty"`
}

// AzureSection has the settings of the detector azure. Tags are as in EC2Section.
type AzureSection struct {
	ResourceAttributes Switches `yaml:"resource_attributes,omitempty"`
	Tags               []string `yaml:"tags,omitempty"`
}

// LabelSection has the settings of the detector gcp.
type LabelSection struct {
	ResourceAttributes Switches       `yaml:"resource_attributes,omitempty"`
	Labels             config.Ignored `yaml:"labels,omitempty"`
}

// NovaSection has the settings of the detector nova. Labels are regular expressions of the
// keys of metadata that become attributes.
type NovaSection struct {
	ResourceAttributes    Switches `yaml:"resource_attributes,omitempty"`
	Labels                []string `yaml:"labels,omitempty"`
	FailOnMissingMetadata bool     `yaml:"fail_on_missing_metadata,omitempty"`
}

// NodeSection has the settings of the detector eks.
type NodeSection struct {
	ResourceAttributes Switches `yaml:"resource_attributes,omitempty"`
	// NodeFromEnvVar names the environment variable with the name of the node.
	NodeFromEnvVar string `yaml:"node_from_env_var,omitempty"`
}

// KubernetesSection has the settings of the detectors that ask Kubernetes. The service
// account of the pod is used, whatever AuthType is.
type KubernetesSection struct {
	ResourceAttributes Switches       `yaml:"resource_attributes,omitempty"`
	NodeFromEnvVar     string         `yaml:"node_from_env_var,omitempty"`
	AuthType           config.Ignored `yaml:"auth_type,omitempty"`
	Context            config.Ignored `yaml:"context,omitempty"`
	KubeAPIQPS         config.Ignored `yaml:"kube_api_qps,omitempty"`
	KubeAPIBurst       config.Ignored `yaml:"kube_api_burst,omitempty"`
}

// OpenShiftSection has the settings of the detector openshift. The service account of the
// pod is used.
type OpenShiftSection struct {
	ResourceAttributes Switches       `yaml:"resource_attributes,omitempty"`
	Address            config.Ignored `yaml:"address,omitempty"`
	Token              config.Secret  `yaml:"token,omitempty"`
	TLS                config.Ignored `yaml:"tls,omitempty"`
}

// ConsulSection has the settings of the detector consul, which finds nothing.
type ConsulSection struct {
	ResourceAttributes Switches       `yaml:"resource_attributes,omitempty"`
	Address            config.Ignored `yaml:"address,omitempty"`
	Datacenter         config.Ignored `yaml:"datacenter,omitempty"`
	Token              config.Secret  `yaml:"token,omitempty"`
	TokenFile          config.Ignored `yaml:"token_file,omitempty"`
	Namespace          config.Ignored `yaml:"namespace,omitempty"`
	Meta               config.Ignored `yaml:"meta,omitempty"`
}

// IBMVPCSection has the settings of the detector ibmcloud_vpc, which finds nothing.
type IBMVPCSection struct {
	ResourceAttributes Switches       `yaml:"resource_attributes,omitempty"`
	Protocol           config.Ignored `yaml:"protocol,omitempty"`
}

// SystemSection has the settings of the detector system.
type SystemSection struct {
	// HostnameSources are tried in their order: dns, os, cname, lookup. Empty: dns, os.
	HostnameSources    []string `yaml:"hostname_sources,omitempty"`
	ResourceAttributes Switches `yaml:"resource_attributes,omitempty"`
}

// Validate checks the sources.
func (s *SystemSection) Validate() error {
	for _, name := range s.HostnameSources {
		if !slices.Contains(detect.HostnameSources, name) {
			return config.Atf("hostname_sources", "unknown source %q%s", name, suggest.Known(name, detect.HostnameSources))
		}
	}
	return nil
}

const (
	defaultTimeout       = 5 * time.Second
	defaultRetryInterval = time.Second
)

// DefaultConfig returns the configuration of an empty section: the detector env.
func DefaultConfig() Config {
	c := Config{
		Detectors: []string{"env"}, Override: true,
		HTTPClient: config.DefaultHTTPClient(), Retry: config.DefaultRetry(),
		shared: &pipeline.Shared[struct{}, *detection]{},
	}
	c.Timeout, c.Compression = defaultTimeout, ""
	c.Retry.InitialInterval, c.Retry.Multiplier = defaultRetryInterval, 2
	for name, section := range c.sections() {
		section.switches.detector = name
	}
	return c
}

// section is what the sections of detectors have in common.
type section struct {
	switches *Switches
	tags     *[]string // regular expressions
	tagsKey  string
	node     *string
	fail     *bool
}

// sections returns the sections of c by their keys.
func (c *Config) sections() map[string]section {
	return map[string]section{
		"akamai":             {switches: &c.Akamai.ResourceAttributes},
		"aks":                {switches: &c.AKS.ResourceAttributes},
		"alibaba_ecs":        {switches: &c.AlibabaECS.ResourceAttributes, fail: &c.AlibabaECS.FailOnMissingMetadata},
		"azure":              {switches: &c.Azure.ResourceAttributes, tags: &c.Azure.Tags, tagsKey: "tags"},
		"azureappservice":    {switches: &c.AzureAppService.ResourceAttributes},
		"azurecontainerapps": {switches: &c.AzureContainerApps.ResourceAttributes},
		"consul":             {switches: &c.Consul.ResourceAttributes},
		"digitalocean":       {switches: &c.DigitalOcean.ResourceAttributes},
		"docker":             {switches: &c.Docker.ResourceAttributes},
		"ec2":                {switches: &c.EC2.ResourceAttributes, tags: &c.EC2.Tags, tagsKey: "tags", fail: &c.EC2.FailOnMissingMetadata},
		"ecs":                {switches: &c.ECS.ResourceAttributes},
		"eks":                {switches: &c.EKS.ResourceAttributes, node: &c.EKS.NodeFromEnvVar},
		"elasticbeanstalk":   {switches: &c.ElasticBeanstalk.ResourceAttributes},
		"gcp":                {switches: &c.GCP.ResourceAttributes},
		"heroku":             {switches: &c.Heroku.ResourceAttributes},
		"hetzner":            {switches: &c.Hetzner.ResourceAttributes},
		"ibmcloud_classic":   {switches: &c.IBMCloudClassic.ResourceAttributes},
		"ibmcloud_vpc":       {switches: &c.IBMCloudVPC.ResourceAttributes},
		"k8s_api":            {switches: &c.K8sAPI.ResourceAttributes, node: &c.K8sAPI.NodeFromEnvVar},
		"k8snode":            {switches: &c.K8sNode.ResourceAttributes, node: &c.K8sNode.NodeFromEnvVar},
		"kubeadm":            {switches: &c.Kubeadm.ResourceAttributes},
		"lambda":             {switches: &c.Lambda.ResourceAttributes},
		"nova":               {switches: &c.Nova.ResourceAttributes, tags: &c.Nova.Labels, tagsKey: "labels", fail: &c.Nova.FailOnMissingMetadata},
		"openshift":          {switches: &c.OpenShift.ResourceAttributes},
		"oraclecloud":        {switches: &c.OracleCloud.ResourceAttributes},
		"scaleway":           {switches: &c.Scaleway.ResourceAttributes},
		"system":             {switches: &c.System.ResourceAttributes},
		"tencent_cvm":        {switches: &c.TencentCVM.ResourceAttributes, fail: &c.TencentCVM.FailOnMissingMetadata},
		"upcloud":            {switches: &c.UpCloud.ResourceAttributes, fail: &c.UpCloud.FailOnMissingMetadata},
		"vultr":              {switches: &c.Vultr.ResourceAttributes, fail: &c.Vultr.FailOnMissingMetadata},
	}
}

// Validate checks the settings.
func (c *Config) Validate() error {
	problems := []error{c.HTTPClient.Validate(), config.At("retry", c.Retry.Validate()), c.System.validateIn("system")}
	if len(c.Detectors) == 0 {
		problems = append(problems, config.Atf("detectors", "expected at least one detector, such as system, found none"))
	}
	for _, name := range c.Detectors {
		if _, err := detectorOf(name); err != nil {
			problems = append(problems, config.At("detectors", err))
		}
	}
	if c.RefreshInterval < 0 {
		problems = append(problems, config.Atf("refresh_interval", "expected 0s or more, found %s", c.RefreshInterval))
	}
	if c.Retry.Enabled && c.Timeout == 0 && c.maxElapsed() == 0 {
		problems = append(problems, config.Atf("timeout", "expected more than 0s, or retry.max_elapsed_time, which bounds the attempts"))
	}
	for name, s := range c.sections() {
		problems = append(problems, config.At(name+".resource_attributes", s.switches.validate()))
		if s.tags != nil {
			_, err := compile(*s.tags)
			problems = append(problems, config.At(name+"."+s.tagsKey, err))
		}
	}
	return errors.Join(problems...)
}

func (s *SystemSection) validateIn(key string) error { return config.At(key, s.Validate()) }

// maxElapsed returns how long all attempts take at most; 0: it is not set.
func (c *Config) maxElapsed() time.Duration {
	if c.Retry.MaxElapsedTime == nil {
		return 0
	}
	return *c.Retry.MaxElapsedTime
}

// detectorOf finds a detector by an entry of the list.
func detectorOf(entry string) (detect.Detector, error) {
	name := strings.TrimSpace(entry)
	var names []string
	for _, d := range detect.Known {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return detect.Detector{}, fmt.Errorf("unknown detector %q%s", name, suggest.Known(name, names))
}

func compile(patterns []string) (all []*regexp.Regexp, err error) {
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, err
		}
		all = append(all, re)
	}
	return all, nil
}

// Warnings returns settings that have no effect, and old ones.
func (c *Config) Warnings() (all []string) {
	for _, name := range c.Detectors {
		d, err := detectorOf(name)
		switch {
		case err != nil:
		case d.Detect == nil:
			all = append(all, fmt.Sprintf("detectors: %s is known and finds nothing: penstock does not detect it", d.Name))
		case d.Name == "k8snode":
			all = append(all, "detectors: k8snode is deprecated; use k8s_api")
		}
	}
	if len(c.Attributes) > 0 {
		all = append(all, "attributes is deprecated, and no longer a key of the Collector; use resource_attributes of each detector")
	}
	plain := DefaultConfig().HTTPClient
	plain.Timeout = c.Timeout
	if !reflect.DeepEqual(plain, c.HTTPClient) {
		all = append(all, "the settings of an HTTP client have no effect, except timeout: metadata services are asked without a proxy and TLS")
	}
	if len(c.EC2.Tags) > 0 && !c.EC2.TagsFromIMDS {
		all = append(all, "ec2.tags are read from the instance metadata service only: set ec2.tags_from_imds: true, and InstanceMetadataTags of the instance")
	}
	for key, written := range map[string]bool{
		"gcp.labels": c.GCP.Labels.Written(), "openshift.address": c.OpenShift.Address.Written(), "openshift.token": c.OpenShift.Token != "",
		"openshift.tls": c.OpenShift.TLS.Written(), "k8s_api.auth_type": c.K8sAPI.AuthType.Written(), "k8snode.auth_type": c.K8sNode.AuthType.Written(),
	} {
		if written {
			all = append(all, key+" has no effect")
		}
	}
	slices.Sort(all)
	return all
}

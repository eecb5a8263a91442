package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// machine is a Host for tests: an environment, files, and metadata services that one
// server on the loopback stands for.
type machine struct {
	env   map[string]string
	files map[string]string
	// routes are the answers of the metadata services: "GET /path". A value "404" and the
	// like is a status. needs is a header without which a request is answered with 401.
	routes map[string]string
	needs  string
	name   string
	dns    fakeDNS
}

func (m machine) host(t *testing.T) *Host {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := m.routes[r.Method+" "+r.URL.RequestURI()]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case answer == "403":
			w.WriteHeader(http.StatusForbidden)
		case m.needs != "" && r.Method == http.MethodGet && r.Header.Get(m.needs) == "":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.Header().Set("Metadata-Flavor", m.env["flavor"])
			fmt.Fprint(w, answer)
		}
	}))
	t.Cleanup(server.Close)
	h := NewHost()
	t.Cleanup(h.Close)
	h.Instead = map[string]string{}
	for _, at := range []string{"http://169.254.169.254", "http://169.254.42.42", "http://100.100.100.200", "http://metadata.tencentyun.com", "https://api.service.softlayer.com", "http://ecs"} {
		h.Instead[at] = server.URL
	}
	h.LookupEnv = func(name string) (string, bool) { v, ok := m.env[name]; return v, ok }
	h.ReadFile = func(path string) ([]byte, error) {
		if text, ok := m.files[path]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	h.Hostname = func() (string, error) {
		if m.name == "" {
			return "", errors.New("no name")
		}
		return m.name, nil
	}
	h.Resolver = m.dns
	return h
}

// fakeDNS has the names of hosts and addresses.
type fakeDNS map[string]string

func (d fakeDNS) one(name string) (string, error) {
	if found, ok := d[name]; ok {
		return found, nil
	}
	return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (d fakeDNS) LookupCNAME(_ context.Context, host string) (string, error) {
	return d.one("cname " + host)
}
func (d fakeDNS) LookupHost(_ context.Context, host string) ([]string, error) {
	found, err := d.one("host " + host)
	return strings.Fields(found), err
}
func (d fakeDNS) LookupAddr(_ context.Context, addr string) ([]string, error) {
	found, err := d.one("addr " + addr)
	return strings.Fields(found), err
}

// found runs a detector and returns the attributes as one text. more are attributes that are
// on in addition to those of the defaults.
func found(t *testing.T, name string, h *Host, o Options, more ...string) (string, error) {
	t.Helper()
	d, ok := Find(name)
	if !ok {
		t.Fatalf("no detector %s", name)
	}
	o.Wanted = func(key string) bool {
		i := slices.IndexFunc(d.Attributes, func(a Attribute) bool { return a.Key == key })
		return i >= 0 && (d.Attributes[i].On || slices.Contains(more, key))
	}
	o.Log = slog.New(slog.DiscardHandler)
	r := NewResource(o.Wanted)
	err := d.Detect(t.Context(), h, o, r)
	var all []string
	for _, v := range r.Values {
		all = append(all, fmt.Sprintf("%s=%v", v.Key, v.V))
	}
	slices.Sort(all)
	return strings.Join(all, " "), err
}

const (
	ec2Doc = `{"accountId":"1","availabilityZone":"eu-west-1a","imageId":"ami","instanceId":"i-1","instanceType":"m5","region":"eu-west-1"}`
	ec2All = "cloud.account.id=1 cloud.availability_zone=eu-west-1a cloud.platform=aws_ec2 cloud.provider=aws cloud.region=eu-west-1 " +
		"host.id=i-1 host.image.id=ami host.name=ip-1.internal host.type=m5"
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	azureDoc    = `{"location":"west","name":"vm-1","vmId":"id-1","vmSize":"D2","subscriptionId":"sub","resourceGroupName":"MC_group_cluster_west",
		"vmScaleSetName":"set","zone":"2","osProfile":{"computerName":"computer"},"tagsList":[{"name":"team","value":"a"},{"name":"other","value":"b"}]}`
	azurePath = "GET /metadata/instance/compute?format=json&api-version=2020-09-01"
	gcpPath   = "GET /computeMetadata/v1/"
)

func TestDetectors(t *testing.T) {
	team := Options{Tags: []*regexp.Regexp{regexp.MustCompile("^team$")}}
	ec2 := map[string]string{
		"PUT /latest/api/token": "token", "GET /latest/meta-data/instance-id": "i-1", "GET /latest/dynamic/instance-identity/document": ec2Doc,
		"GET /latest/meta-data/hostname": "ip-1.internal", "GET /latest/meta-data/tags/instance": "team\nother", "GET /latest/meta-data/tags/instance/team": "a",
	}
	old := map[string]string{"PUT /latest/api/token": "403"}
	for k, v := range ec2 {
		if !strings.HasPrefix(k, "PUT") {
			old[k] = v
		}
	}
	for _, tt := range []struct {
		name, detector string
		machine        machine
		options        Options
		more           []string
		want           string
	}{
		{"env", "env", machine{env: map[string]string{"OTEL_RESOURCE_ATTRIBUTES": " a = 1 ,b=x%20y, c="}}, Options{}, nil, "a=1 b=x y c="},
		{"env, older name", "env", machine{env: map[string]string{"OTEL_RESOURCE": "a=1"}}, Options{}, nil, "a=1"},
		{"env without a variable", "env", machine{env: map[string]string{"OTEL_SERVICE_NAME": "penstock"}}, Options{}, nil, ""},
		{"ec2", "ec2", machine{routes: ec2, needs: tokenHeader}, Options{}, nil, ec2All},
		{"ec2 with tags", "ec2", machine{routes: ec2, needs: tokenHeader}, Options{Tags: team.Tags, TagsFromIMDS: true}, nil, strings.Replace(ec2All, "host.id", "ec2.tag.team=a host.id", 1)},
		{"ec2 without tokens", "ec2", machine{routes: old}, Options{}, nil, ec2All},
		{"ecs", "ecs", machine{env: map[string]string{"ECS_CONTAINER_METADATA_URI_V4": "http://ecs/v4/1"}, routes: map[string]string{
			"GET /v4/1": `{"DockerId":"self"}`,
			"GET /v4/1/task": `{"Cluster":"c","TaskARN":"arn:aws:ecs:eu-1:42:task/c/id1","Family":"f","Revision":"3","AvailabilityZone":"eu-1a","LaunchType":"FARGATE","Containers":[
				{"DockerId":"self","Type":"NORMAL","KnownStatus":"RUNNING","LogDriver":"awslogs","LogOptions":{"awslogs-group":"own","awslogs-region":"eu-1","awslogs-stream":"s"}},
				{"DockerId":"app","Type":"NORMAL","KnownStatus":"RUNNING","LogDriver":"awslogs","LogOptions":{"awslogs-group":"g","awslogs-region":"eu-1","awslogs-stream":"s"}}]}`}}, Options{}, nil,
			"aws.ecs.cluster.arn=arn:aws:ecs:eu-1:42:cluster/c aws.ecs.launchtype=fargate aws.ecs.task.arn=arn:aws:ecs:eu-1:42:task/c/id1 aws.ecs.task.family=f aws.ecs.task.id=id1 aws.ecs.task.revision=3 " +
				"aws.log.group.arns=[arn:aws:logs:eu-1:42:log-group:g] aws.log.group.names=[g] aws.log.stream.arns=[arn:aws:logs:eu-1:42:log-group:g:log-stream:s] aws.log.stream.names=[s] " +
				"cloud.account.id=42 cloud.availability_zone=eu-1a cloud.platform=aws_ecs cloud.provider=aws cloud.region=eu-1"},
		{"lambda", "lambda", machine{env: map[string]string{"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "eu-1", "AWS_LAMBDA_LOG_STREAM_NAME": "s", "AWS_LAMBDA_LOG_GROUP_NAME": "g"}}, Options{}, nil,
			"aws.log.group.names=[g] aws.log.stream.names=[s] cloud.platform=aws_lambda cloud.provider=aws cloud.region=eu-1 faas.instance=s faas.name=f"},
		{"elastic beanstalk", "elastic_beanstalk", machine{files: map[string]string{beanstalkFile: `{"deployment_id":23,"environment_name":"prod","version_label":"v1"}`}}, Options{}, nil,
			"cloud.platform=aws_elastic_beanstalk cloud.provider=aws deployment.environment=prod service.instance.id=23 service.version=v1"},
		{"eks", "eks", machine{env: map[string]string{"KUBERNETES_SERVICE_HOST": "h", "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/eks.amazonaws.com/token"}, routes: ec2}, Options{}, []string{"host.id"},
			"cloud.platform=aws_eks cloud.provider=aws host.id=i-1"},
		{"azure", "azure", machine{routes: map[string]string{azurePath: azureDoc}, needs: "Metadata"}, team, nil,
			"azure.resourcegroup.name=MC_group_cluster_west azure.tag.team=a azure.vm.name=vm-1 azure.vm.scaleset.name=set azure.vm.size=D2 cloud.account.id=sub cloud.platform=azure.vm cloud.provider=azure cloud.region=west host.id=id-1 host.name=computer"},
		{"aks", "aks", machine{env: map[string]string{"KUBERNETES_SERVICE_HOST": "h"}, routes: map[string]string{azurePath: azureDoc}}, Options{}, []string{"k8s.cluster.name"},
			"cloud.platform=azure.aks cloud.provider=azure k8s.cluster.name=cluster"},
		{"app service", "azureappservice", machine{env: map[string]string{"WEBSITE_SITE_NAME": "site", "WEBSITE_OWNER_NAME": "sub+region", "WEBSITE_RESOURCE_GROUP": "g", "REGION_NAME": "West"}}, Options{}, nil,
			"azure.resource_group.name=g cloud.account.id=sub cloud.platform=azure.app_service cloud.provider=azure cloud.region=West cloud.resource_id=/subscriptions/sub/resourceGroups/g/providers/Microsoft.Web/sites/site service.name=site"},
		{"container apps", "azurecontainerapps", machine{env: map[string]string{"CONTAINER_APP_NAME": "app", "CONTAINER_APP_REPLICA_NAME": "app-1"}}, Options{}, nil,
			"azure.container_app.instance.id=app-1 cloud.platform=azure.container_apps cloud.provider=azure service.name=app"},
		{"gcp machine", "gcp", machine{env: map[string]string{"flavor": "Google"}, needs: "Metadata-Flavor", routes: map[string]string{
			gcpPath + "project/project-id": "p", gcpPath + "instance/machine-type": "projects/1/machineTypes/n1", gcpPath + "instance/zone": "projects/1/zones/europe-west1-b",
			gcpPath + "instance/id": "77", gcpPath + "instance/name": "vm", gcpPath + "instance/attributes/created-by": "projects/1/zones/europe-west1-b/instanceGroupManagers/mig"}}, Options{}, nil,
			"cloud.account.id=p cloud.availability_zone=europe-west1-b cloud.platform=gcp_compute_engine cloud.provider=gcp cloud.region=europe-west1 gcp.gce.instance_group_manager.name=mig gcp.gce.instance_group_manager.zone=europe-west1-b host.id=77 host.name=vm host.type=n1"},
		{"gcp kubernetes", "gcp", machine{env: map[string]string{"flavor": "Google", "KUBERNETES_SERVICE_HOST": "h"}, routes: map[string]string{
			gcpPath + "project/project-id": "p", gcpPath + "instance/attributes/cluster-location": "europe-west1", gcpPath + "instance/attributes/cluster-name": "c", gcpPath + "instance/id": "77"}}, Options{}, nil,
			"cloud.account.id=p cloud.platform=gcp_kubernetes_engine cloud.provider=gcp cloud.region=europe-west1 host.id=77 k8s.cluster.name=c"},
		{"gcp run", "gcp", machine{env: map[string]string{"flavor": "Google", "K_CONFIGURATION": "c", "K_SERVICE": "s", "K_REVISION": "r"}, routes: map[string]string{
			gcpPath + "project/project-id": "p", gcpPath + "instance/region": "projects/1/regions/europe-west1", gcpPath + "instance/id": "77"}}, Options{}, nil,
			"cloud.account.id=p cloud.platform=gcp_cloud_run cloud.provider=gcp cloud.region=europe-west1 faas.instance=77 faas.name=s faas.version=r"},
		{"heroku", "heroku", machine{env: map[string]string{"HEROKU_APP_ID": "id", "HEROKU_DYNO_ID": "dyno", "HEROKU_APP_NAME": "app", "HEROKU_RELEASE_VERSION": "v3", "HEROKU_SLUG_COMMIT": "c", "HEROKU_RELEASE_CREATED_AT": "t"}}, Options{}, nil,
			"cloud.provider=heroku heroku.app.id=id heroku.release.commit=c heroku.release.creation_timestamp=t service.instance.id=dyno service.name=app service.version=v3"},
		{"digitalocean", "digitalocean", machine{routes: map[string]string{"GET /metadata/v1.json": `{"droplet_id":5,"hostname":"h","region":"ams3"}`}}, Options{}, nil,
			"cloud.provider=digitalocean cloud.region=ams3 host.id=5 host.name=h"},
		{"upcloud", "upcloud", machine{routes: map[string]string{"GET /metadata/v1.json": `{"cloud_name":"upcloud","hostname":"h","instance_id":"5","region":"fi"}`}}, Options{}, nil,
			"cloud.provider=upcloud cloud.region=fi host.id=5 host.name=h"},
		{"hetzner", "hetzner", machine{routes: map[string]string{"GET /hetzner/v1/metadata/instance-id": "5", "GET /hetzner/v1/metadata/hostname": "h", "GET /hetzner/v1/metadata/region": "eu", "GET /hetzner/v1/metadata/availability-zone": "fsn1-dc14"}}, Options{}, nil,
			"cloud.availability_zone=fsn1-dc14 cloud.provider=hetzner cloud.region=eu host.id=5 host.name=h"},
		{"vultr", "vultr", machine{routes: map[string]string{"GET /v1.json": `{"hostname":"h","instance-v2-id":"5","region":{"regioncode":"EWR"}}`}}, Options{}, nil,
			"cloud.provider=vultr cloud.region=ewr host.id=5 host.name=h"},
		{"oraclecloud", "oraclecloud", machine{needs: "Authorization", routes: map[string]string{"GET /opc/v2/instance/": `{"id":"5","displayName":"h","shape":"s","canonicalRegionName":"r","availabilityDomain":"z","metadata":{"oke-cluster-display-name":"c","realm":"oc1"}}`}}, Options{}, nil,
			"cloud.availability_zone=z cloud.platform=oracle_cloud_oke cloud.provider=oracle_cloud cloud.region=r host.id=5 host.name=h host.type=s k8s.cluster.name=c oracle_cloud.realm=oc1"},
		{"nova", "nova", machine{routes: map[string]string{"GET /openstack/latest/meta_data.json": `{"availability_zone":"z","hostname":"h","meta":{"team":"a","x":"y"},"project_id":"p","uuid":"5"}`, "GET /latest/meta-data/instance-type": "m1"}}, team, nil,
			"cloud.account.id=p cloud.availability_zone=z cloud.platform=openstack_nova cloud.provider=openstack host.id=5 host.name=h host.type=m1 openstack.nova.meta.team=a"},
		{"alibaba", "alibaba_ecs", machine{needs: "X-Aliyun-Ecs-Metadata-Token", routes: map[string]string{"PUT /latest/api/token": "t", "GET /latest/meta-data/owner-account-id": "1", "GET /latest/meta-data/region-id": "r", "GET /latest/meta-data/zone-id": "z",
			"GET /latest/meta-data/instance-id": "5", "GET /latest/meta-data/hostname": "h", "GET /latest/meta-data/image-id": "i", "GET /latest/meta-data/instance/instance-type": "t1"}}, Options{}, nil,
			"cloud.account.id=1 cloud.availability_zone=z cloud.platform=alibaba_cloud_ecs cloud.provider=alibaba_cloud cloud.region=r host.id=5 host.image.id=i host.name=h host.type=t1"},
		{"scaleway", "scaleway", machine{routes: map[string]string{"GET /conf?format=json": `{"id":"5","name":"h","commercial_type":"t","organization":"o","location":{"zone_id":"fr-par-1"},"image":{"id":"i","name":"in"}}`}}, Options{}, nil,
			"cloud.account.id=o cloud.availability_zone=fr-par-1 cloud.platform=scaleway_cloud_compute cloud.provider=scaleway_cloud cloud.region=fr-par host.id=5 host.image.id=i host.image.name=in host.name=h host.type=t"},
		{"akamai", "akamai", machine{needs: "Metadata-Token", routes: map[string]string{"PUT /v1/token": "t", "GET /v1/instance": `{"id":5,"label":"h","region":"us","type":"g6","account_euuid":"a","image":{"id":"i","label":"in"}}`}}, Options{}, nil,
			"cloud.account.id=a cloud.platform=akamai_cloud.compute cloud.provider=akamai_cloud cloud.region=us host.id=5 host.image.id=i host.image.name=in host.name=h host.type=g6"},
		{"dynatrace", "dynatrace", machine{files: map[string]string{dynatraceFile: "dt.entity.host=HOST-1\nhost.name = h\nx=y\nempty=\n"}}, Options{}, nil, "dt.entity.host=HOST-1 host.name=h"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := found(t, tt.detector, tt.machine.host(t), tt.options, tt.more...)
			var missing *NotHereError
			if err != nil && !errors.As(err, &missing) || got != tt.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, tt.want)
			}
		})
	}
}

// Elsewhere every detector of a platform finds nothing, and says so by its error.
func TestDetectorsElsewhere(t *testing.T) {
	for _, d := range Known {
		if d.Required || d.Detect == nil {
			continue
		}
		h := machine{env: map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(t.TempDir(), "none")}}.host(t)
		var missing *NotHereError
		if got, err := found(t, d.Name, h, Options{}); !errors.As(err, &missing) || got != "" {
			t.Errorf("%s: %v, found %q", d.Name, err, got)
		}
	}
}

// Another service at the address of a metadata service is not taken for it.
func TestAnswersOfOthers(t *testing.T) {
	for detector, routes := range map[string]map[string]string{
		"gcp":          {gcpPath + "project/project-id": "p"}, // without the header
		"digitalocean": {"GET /metadata/v1.json": `{"cloud_name":"upcloud"}`},
		"upcloud":      {"GET /metadata/v1.json": `{"droplet_id":1}`},
		"azure":        {azurePath: "<html>"},
		"ec2":          {"PUT /latest/api/token": "t", "GET /latest/meta-data/instance-id": "i", "GET /latest/dynamic/instance-identity/document": "<html>"},
	} {
		if got, err := found(t, detector, machine{routes: routes}.host(t), Options{}); err == nil || got != "" {
			t.Errorf("%s: %v, found %q", detector, err, got)
		}
	}
}

func TestEnvErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a":          `expected key=value,key=value, found "a"`,
		"a=1,b":      `found "b"`,
		"a=1,b=%zz":  `the value of "b"`,
		"a=ä,b=1":    "found",
		"a=1,,":      "found",
		"=1":         "found",
		"a=1, b = ,": "",
	} {
		_, err := found(t, "env", machine{env: map[string]string{"OTEL_RESOURCE_ATTRIBUTES": text}}.host(t), Options{})
		var permanent *PermanentError
		if want == "" && err != nil || want != "" && (!errors.As(err, &permanent) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// What is read from the variable is what was written to it, and nothing panics.
func FuzzParseEnv(f *testing.F) {
	for _, text := range []string{"a=1,b=2", " a = 1 ", "a=%20", "a==,", ",", "=", "a=1,,b=2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pairs, err := parseEnv(text)
		if err == nil && text != "" && len(pairs) == 0 {
			t.Errorf("%q has no pairs, without an error", text)
		}
		for _, p := range pairs {
			if p[0] == "" || len(p[0]) > 256 {
				t.Errorf("%q has the key %q", text, p[0])
			}
		}
	})
}

func TestHostnameSources(t *testing.T) {
	dns := fakeDNS{"cname h": "h.example.com.", "host h": "10.0.0.1 10.0.0.2", "addr 10.0.0.2": "two.example.com. x."}
	for _, tt := range []struct {
		sources string
		machine machine
		want    string // empty: an error
	}{
		{"os", machine{name: "h"}, "h"},
		{"dns os", machine{name: "h"}, "h"},
		{"", machine{name: "h"}, "h"},
		{"dns", machine{name: "h"}, ""},
		{"cname lookup", machine{name: "h"}, ""},
		{"os", machine{}, ""},
		{"dns", machine{name: "h", dns: dns, files: map[string]string{"/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 full.example.com h # x\n"}}, "full.example.com"},
		{"dns", machine{name: "h", dns: dns, files: map[string]string{"/etc/hosts": "127.0.1.1 other # h\n"}}, "h.example.com"},
		{"dns", machine{name: "h", dns: fakeDNS{"host h": "10.0.0.2", "addr 10.0.0.2": "two.example.com."}}, "two.example.com"},
		{"cname", machine{name: "h", dns: dns}, "h.example.com"},
		{"lookup", machine{name: "h", dns: dns}, "two.example.com"},
	} {
		got, err := found(t, "system", tt.machine.host(t), Options{HostnameSources: strings.Fields(tt.sources)})
		if name, _, _ := strings.Cut(strings.TrimPrefix(got, "host.name="), " "); name != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %s, %v, want %s", tt.sources, got, err, tt.want)
		}
	}
}

func TestPlatforms(t *testing.T) {
	const release = "ID=fedora\nVERSION_ID=\"40\"\nBUILD_ID=b1\n"
	for want, files := range map[string]map[string]string{
		"debian 12.5":   {"/etc/debian_version": "12.5\n", "/etc/os-release": "ID=debian\n"},
		"ubuntu 24.04":  {"/etc/debian_version": "trixie/sid\n", "/etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\n"},
		"redhat 9.4":    {"/etc/redhat-release": "Red Hat Enterprise Linux release 9.4 (Plow)\n"},
		"rocky 9.3":     {"/etc/redhat-release": "Rocky Linux release 9.3 (Blue Onyx)\n"},
		"amazon 2":      {"/etc/system-release": "Amazon Linux release 2 (Karoo)\n"},
		"alpine 3.20.1": {"/etc/alpine-release": "3.20.1\n", "/etc/os-release": "ID=alpine\n"},
		"fedora 40":     {"/etc/os-release": release},
		" ":             {},
	} {
		h := machine{name: "h", files: files}.host(t)
		p, _ := h.platform()
		if got := p.name + " " + p.version; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if id, err := (machine{files: map[string]string{"/etc/os-release": release}}).host(t).buildID(); id != "b1" || err != nil {
		t.Errorf("build id %q, %v", id, err)
	}
}

func TestCPU(t *testing.T) {
	const intel = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Xeon\nstepping\t: 7\ncache size\t: 1024 KB\n\nprocessor\t: 1\nmodel name\t: other\n"
	const arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nCPU revision\t: 1\n"
	for text, want := range map[string]string{
		intel: "host.cpu.cache.l2.size=1024 host.cpu.family=6 host.cpu.model.id=85 host.cpu.model.name=Xeon host.cpu.stepping=7 host.cpu.vendor.id=GenuineIntel host.name=h",
		arm:   "host.cpu.cache.l2.size=0 host.cpu.family= host.cpu.model.id=0xd0c host.cpu.model.name= host.cpu.stepping=1 host.cpu.vendor.id=ARM host.name=h",
	} {
		h := machine{name: "h", files: map[string]string{"/proc/cpuinfo": text}}.host(t)
		got, err := found(t, "system", h, Options{HostnameSources: []string{"os"}}, "host.cpu.vendor.id", "host.cpu.family", "host.cpu.model.id", "host.cpu.model.name", "host.cpu.stepping", cacheSize)
		if got, _, _ = strings.Cut(got, " os.type"); got != want || err != nil {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}

// Every attribute that is read from the real machine has a value or a line in the log.
func TestSystemOfThisMachine(t *testing.T) {
	d, _ := Find("system")
	h := NewHost()
	defer h.Close()
	r := NewResource(func(string) bool { return true })
	log := &testkit.Log{}
	o := Options{Wanted: func(string) bool { return true }, Log: log.Logger(), HostnameSources: []string{"os"}}
	if err := d.Detect(t.Context(), h, o, r); err != nil {
		t.Fatal(err)
	}
	for _, a := range d.Attributes {
		has := slices.ContainsFunc(r.Values, func(v Value) bool { return v.Key == a.Key })
		if !has && !strings.Contains(log.String(), a.Key) && !strings.HasPrefix(a.Key, "host.cpu.") {
			t.Errorf("%s is missing without a line in the log", a.Key)
		}
	}
}

func TestDocker(t *testing.T) {
	routes := map[string]string{"/info": `{"OSType":"linux","Name":"daemon"}`, "/containers/c1/json": `{"Name":"/app","Image":"sha256:1"}`}
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := routes[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, answer)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	h := machine{name: "c1", env: map[string]string{"DOCKER_HOST": "unix://" + socket}}.host(t)
	got, err := found(t, "docker", h, Options{}, "container.name", "container.image.name")
	if want := "container.image.name=sha256:1 container.name=/app host.name=daemon os.type=linux"; got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestKubernetes(t *testing.T) {
	routes := map[string]any{
		"/api/v1/nodes/node-1": map[string]any{"metadata": map[string]string{"name": "node-1", "uid": "u1"}, "spec": map[string]string{"providerID": "aws:///us-west-2a/i-5"}},
		kubeSystem:             map[string]any{"metadata": map[string]string{"uid": "u2"}},
		"/version":             map[string]string{"gitVersion": "v1.33.1-eks-abc"},
		"/apis/config.openshift.io/v1/infrastructures/cluster": map[string]any{"status": map[string]any{"infrastructureName": "c", "platformStatus": map[string]any{"type": "AWS", "aws": map[string]string{"region": "EU-1"}}}},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := routes[r.URL.Path]
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_ = json.NewEncoder(w).Encode(answer)
		}
	}))
	defer server.Close()
	host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	m := machine{
		env:   map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "K8S_NODE_NAME": "node-1", "AWS_EC2_METADATA_DISABLED": "true"},
		files: map[string]string{serviceAccount + "token": "token\n", serviceAccount + "ca.crt": pemOf(server)},
	}
	for _, tt := range []struct{ detector, want string }{
		{"k8s_api", "k8s.cluster.uid=u2 k8s.node.name=node-1 k8s.node.uid=u1"},
		{"eks", "cloud.availability_zone=us-west-2a cloud.platform=aws_eks cloud.provider=aws cloud.region=us-west-2 host.id=i-5"},
		{"openshift", "cloud.platform=aws_openshift cloud.provider=aws cloud.region=eu-1 k8s.cluster.name=c"},
	} {
		got, err := found(t, tt.detector, m.host(t), Options{NodeVariable: "K8S_NODE_NAME"}, "cloud.availability_zone", "cloud.region", "host.id")
		if got != tt.want || err != nil {
			t.Errorf("%s: %v\ngot  %s\nwant %s", tt.detector, err, got, tt.want)
		}
	}
}

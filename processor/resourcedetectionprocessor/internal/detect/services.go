package detect

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func detectHeroku(_ context.Context, h *Host, _ Options, r *Resource) error {
	app, hasApp := h.LookupEnv("HEROKU_APP_ID")
	if _, hasDyno := h.LookupEnv("HEROKU_DYNO_ID"); !hasApp && !hasDyno {
		return notHere("HEROKU_APP_ID and HEROKU_DYNO_ID are not set")
	}
	if hasApp {
		r.setAll("heroku.app.id", app, "cloud.provider", "heroku")
	}
	h.setFromEnv(r, "service.instance.id", "HEROKU_DYNO_ID", "service.name", "HEROKU_APP_NAME",
		"heroku.release.creation_timestamp", "HEROKU_RELEASE_CREATED_AT", "service.version", "HEROKU_RELEASE_VERSION",
		"heroku.release.commit", "HEROKU_SLUG_COMMIT")
	return nil
}

func detectDigitalOcean(ctx context.Context, h *Host, _ Options, r *Resource) error {
	var d struct {
		ID       int64  `json:"droplet_id"`
		Hostname string `json:"hostname"`
		Region   string `json:"region"`
	}
	if err := h.json(ctx, "http://169.254.169.254/metadata/v1.json", nil, &d); err != nil {
		return notHere("ask the metadata service of DigitalOcean: %w", err)
	}
	if d.ID == 0 {
		return notHere("the metadata service does not answer as that of DigitalOcean")
	}
	r.setAll("cloud.provider", "digitalocean", "host.id", strconv.FormatInt(d.ID, 10), "host.name", d.Hostname, "cloud.region", d.Region)
	return nil
}

func detectHetzner(ctx context.Context, h *Host, _ Options, r *Resource) error {
	var id, hostname, region, zone string
	err := h.texts(ctx, "http://169.254.169.254/hetzner/v1/metadata/", nil,
		map[string]*string{"instance-id": &id, "hostname": &hostname, "region": &region, "availability-zone": &zone})
	if err != nil {
		return notHere("ask the metadata service of Hetzner: %w", err)
	}
	r.setAll("cloud.provider", "hetzner", "cloud.platform", "hetzner.cloud_server", "host.id", id, "host.name", hostname,
		"cloud.region", region, "cloud.availability_zone", zone)
	return nil
}

func detectVultr(ctx context.Context, h *Host, _ Options, r *Resource) error {
	var d struct {
		Hostname string `json:"hostname"`
		ID       string `json:"instance-v2-id"`
		Region   struct {
			Code string `json:"regioncode"`
		} `json:"region"`
	}
	if err := h.json(ctx, "http://169.254.169.254/v1.json", nil, &d); err != nil {
		return notHere("ask the metadata service of Vultr: %w", err)
	}
	r.setAll("cloud.provider", "vultr", "cloud.platform", "vultr.cloud_compute", "host.id", d.ID, "host.name", d.Hostname,
		"cloud.region", strings.ToLower(d.Region.Code))
	return nil
}

func detectUpCloud(ctx context.Context, h *Host, _ Options, r *Resource) error {
	var d struct {
		Cloud    string `json:"cloud_name"`
		Hostname string `json:"hostname"`
		ID       string `json:"instance_id"`
		Region   string `json:"region"`
	}
	if err := h.json(ctx, "http://169.254.169.254/metadata/v1.json", nil, &d); err != nil {
		return notHere("ask the metadata service of UpCloud: %w", err)
	}
	if d.Cloud == "" {
		return notHere("the metadata service does not answer as that of UpCloud")
	}
	r.setAll("cloud.provider", d.Cloud, "cloud.region", d.Region, "host.id", d.ID, "host.name", d.Hostname)
	return nil
}

func detectOracle(ctx context.Context, h *Host, _ Options, r *Resource) error {
	var d struct {
		ID, DisplayName, Shape, CanonicalRegionName, AvailabilityDomain string
		Metadata                                                        struct {
			Cluster string `json:"oke-cluster-display-name"`
			Realm   string `json:"realm"`
		}
	}
	if err := h.json(ctx, "http://169.254.169.254/opc/v2/instance/", map[string]string{"Authorization": "Bearer Oracle"}, &d); err != nil {
		return notHere("ask the metadata service of Oracle Cloud: %w", err)
	}
	r.setAll("cloud.provider", "oracle_cloud", "cloud.platform", "oracle_cloud_oke", "cloud.region", d.CanonicalRegionName,
		"cloud.resource_id", d.ID, "cloud.availability_zone", d.AvailabilityDomain, "host.id", d.ID, "host.name", d.DisplayName,
		"host.type", d.Shape, "k8s.cluster.name", d.Metadata.Cluster)
	r.Set("oracle_cloud.realm", d.Metadata.Realm)
	return nil
}

func detectNova(ctx context.Context, h *Host, o Options, r *Resource) error {
	var d struct {
		Zone     string            `json:"availability_zone"`
		Hostname string            `json:"hostname"`
		Meta     map[string]string `json:"meta"`
		Project  string            `json:"project_id"`
		UUID     string            `json:"uuid"`
	}
	if err := h.json(ctx, "http://169.254.169.254/openstack/latest/meta_data.json", nil, &d); err != nil {
		return notHere("ask the metadata service of OpenStack: %w", err)
	}
	if d.UUID == "" {
		return notHere("the metadata service does not answer as that of OpenStack")
	}
	r.setAll("cloud.provider", "openstack", "cloud.platform", "openstack_nova", "cloud.account.id", d.Project,
		"cloud.availability_zone", d.Zone, "host.id", d.UUID, "host.name", d.Hostname)
	if kind, err := h.text(ctx, ec2URL+"/latest/meta-data/instance-type", nil); err == nil { // not on every OpenStack
		setNonEmpty(r, "host.type", kind)
	}
	for key, value := range d.Meta {
		if o.matches(key) {
			r.Add("openstack.nova.meta."+key, value)
		}
	}
	return nil
}

func detectAlibaba(ctx context.Context, h *Host, _ Options, r *Resource) error {
	const url = "http://100.100.100.200/latest/"
	token, _, err := h.do(ctx, h.Web, http.MethodPut, url+"api/token", map[string]string{"X-aliyun-ecs-metadata-token-ttl-seconds": "300"})
	if err != nil {
		return notHere("ask the metadata service of Alibaba Cloud: %w", err)
	}
	return setTexts(ctx, h, r, "Alibaba Cloud", url+"meta-data/", map[string]string{"X-aliyun-ecs-metadata-token": string(token)}, "alibaba_cloud", "alibaba_cloud_ecs",
		map[string]string{"owner-account-id": "cloud.account.id", "region-id": "cloud.region", "zone-id": "cloud.availability_zone",
			"instance-id": "host.id", "hostname": "host.name", "image-id": "host.image.id", "instance/instance-type": "host.type"})
}

func detectTencent(ctx context.Context, h *Host, _ Options, r *Resource) error {
	return setTexts(ctx, h, r, "Tencent Cloud", "http://metadata.tencentyun.com/latest/meta-data/", nil, "tencent_cloud", "tencent_cloud_cvm",
		map[string]string{"app-id": "cloud.account.id", "placement/region": "cloud.region", "placement/zone": "cloud.availability_zone",
			"instance-id": "host.id", "instance-name": "host.name", "instance/image-id": "host.image.id", "instance/instance-type": "host.type"})
}

func detectIBMClassic(ctx context.Context, h *Host, _ Options, r *Resource) error {
	return setTexts(ctx, h, r, "IBM Cloud", "https://api.service.softlayer.com/rest/v3.1/SoftLayer_Resource_Metadata/", nil, "ibm_cloud", "ibm_cloud.classic",
		map[string]string{"getAccountId.txt": "cloud.account.id", "getDatacenter.txt": "cloud.availability_zone",
			"getGlobalIdentifier.txt": "cloud.resource_id", "getId.txt": "host.id", "getHostname.txt": "host.name"})
}

// setTexts sets attributes from values of a metadata service that has one at each path.
func setTexts(ctx context.Context, h *Host, r *Resource, service, url string, header map[string]string, provider, platform string, paths map[string]string) error {
	values := map[string]*string{}
	for path := range paths {
		values[path] = new(string)
	}
	if err := h.texts(ctx, url, header, values); err != nil {
		return notHere("ask the metadata service of %s: %w", service, err)
	}
	r.setAll("cloud.provider", provider, "cloud.platform", platform)
	for path, key := range paths {
		r.Set(key, strings.TrimSpace(*values[path]))
	}
	return nil
}

func detectScaleway(ctx context.Context, h *Host, _ Options, r *Resource) error {
	var d struct {
		ID             string `json:"id"`
		Name           string `json:"name"`
		CommercialType string `json:"commercial_type"`
		Organization   string `json:"organization"`
		Location       struct {
			Zone string `json:"zone_id"`
		} `json:"location"`
		Image struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"image"`
	}
	if err := h.json(ctx, "http://169.254.42.42/conf?format=json", nil, &d); err != nil {
		return notHere("ask the metadata service of Scaleway: %w", err)
	}
	zone := d.Location.Zone
	r.setAll("cloud.account.id", d.Organization, "cloud.availability_zone", zone, "cloud.provider", "scaleway_cloud",
		"cloud.platform", "scaleway_cloud_compute", "host.id", d.ID, "host.image.id", d.Image.ID, "host.image.name", d.Image.Name,
		"host.name", d.Name, "host.type", d.CommercialType)
	if i := strings.LastIndex(zone, "-"); i > 0 {
		r.Set("cloud.region", zone[:i])
	}
	return nil
}

func detectAkamai(ctx context.Context, h *Host, _ Options, r *Resource) error {
	const url = "http://169.254.169.254/v1/"
	token, _, err := h.do(ctx, h.Web, http.MethodPut, url+"token", map[string]string{"Metadata-Token-Expiry-Seconds": "300"})
	if err != nil {
		return notHere("ask the metadata service of Akamai: %w", err)
	}
	var d struct {
		ID      int64  `json:"id"`
		Label   string `json:"label"`
		Region  string `json:"region"`
		Type    string `json:"type"`
		Account string `json:"account_euuid"`
		Image   struct {
			ID    string `json:"id"`
			Label string `json:"label"`
		} `json:"image"`
	}
	header := map[string]string{"Metadata-Token": strings.TrimSpace(string(token)), "Accept": "application/json"}
	if err := h.json(ctx, url+"instance", header, &d); err != nil {
		return notHere("ask the metadata service of Akamai: %w", err)
	}
	r.setAll("cloud.account.id", d.Account, "cloud.provider", "akamai_cloud", "cloud.platform", "akamai_cloud.compute",
		"cloud.region", d.Region, "host.id", strconv.FormatInt(d.ID, 10), "host.image.id", d.Image.ID,
		"host.image.name", d.Image.Label, "host.name", d.Label, "host.type", d.Type)
	return nil
}

// dynatraceFile is written by the OneAgent of Dynatrace.
const dynatraceFile = "/var/lib/dynatrace/enrichment/dt_host_metadata.properties"

var dynatraceKeys = []string{"dt.entity.host", "host.name", "dt.smartscape.host"}

func detectDynatrace(_ context.Context, h *Host, _ Options, r *Resource) error {
	text, err := h.ReadFile(dynatraceFile)
	if err != nil {
		return notHere("read the metadata of Dynatrace: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if key, value = strings.TrimSpace(key), strings.TrimSpace(value); value != "" && slices.Contains(dynatraceKeys, key) {
			r.Add(key, value)
		}
	}
	return nil
}

// notHereAfter returns a NotHereError for what is missing after r has got attributes: it is
// kept, unless fail_on_missing_metadata is set.
func notHereAfter(r *Resource, err error) error {
	if err == nil {
		return nil
	}
	return &NotHereError{fmt.Errorf("%d attributes were found, others are missing: %w", len(r.Values), err)}
}

package detect

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// ecsTask and ecsContainer are answers of the task metadata endpoint of ECS.
type ecsTask struct {
	AvailabilityZone, Cluster, Family, LaunchType, Revision, TaskARN string
	Containers                                                       []ecsContainer
}

type ecsContainer struct {
	DockerID    string `json:"DockerId"`
	KnownStatus string
	LogDriver   string
	LogOptions  ecsLog
	Type        string
}

type ecsLog struct {
	Group  string `json:"awslogs-group"`
	Region string `json:"awslogs-region"`
	Stream string `json:"awslogs-stream"`
}

func detectECS(ctx context.Context, h *Host, _ Options, r *Resource) error {
	url := strings.TrimSpace(cmp.Or(h.env("ECS_CONTAINER_METADATA_URI_V4"), h.env("ECS_CONTAINER_METADATA_URI")))
	if url == "" {
		return notHere("ECS_CONTAINER_METADATA_URI_V4 is not set")
	}
	var task ecsTask
	if err := h.json(ctx, url+"/task", nil, &task); err != nil {
		return fmt.Errorf("ask for the metadata of the ECS task: %w", err)
	}
	r.setAll("cloud.provider", "aws", "cloud.platform", "aws_ecs",
		"aws.ecs.task.arn", task.TaskARN, "aws.ecs.task.family", task.Family, "aws.ecs.task.revision", task.Revision)
	region, account, id := splitTaskARN(task.TaskARN)
	cluster := task.Cluster // a name or an ARN
	if !strings.Contains(cluster, ":") {
		cluster = fmt.Sprintf("arn:aws:ecs:%s:%s:cluster/%s", region, account, cluster)
	}
	r.Set("aws.ecs.cluster.arn", cluster)
	launch := strings.ToLower(task.LaunchType)
	if launch != "ec2" && launch != "fargate" {
		launch = ""
	}
	setNonEmpty(r, "cloud.account.id", account, "cloud.region", region, "aws.ecs.task.id", id,
		"cloud.availability_zone", task.AvailabilityZone, "aws.ecs.launchtype", launch)
	var self ecsContainer
	if err := h.json(ctx, url, nil, &self); err != nil {
		return notHereAfter(r, fmt.Errorf("ask for the metadata of the ECS container: %w", err))
	}
	setECSLogs(r, task.Containers, self.DockerID, account)
	return nil
}

// setNonEmpty sets attributes, given in turns, whose values are not empty.
func setNonEmpty(r *Resource, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			r.Set(pairs[i], pairs[i+1])
		}
	}
}

// splitTaskARN reads arn:aws:ecs:REGION:ACCOUNT:task/[CLUSTER/]ID.
func splitTaskARN(arn string) (region, account, id string) {
	parts := strings.Split(arn, ":")
	if len(parts) < 6 {
		return "", "", ""
	}
	return parts[3], parts[4], parts[5][strings.LastIndex(parts[5], "/")+1:]
}

// setECSLogs sets where the other containers of the task write logs.
func setECSLogs(r *Resource, all []ecsContainer, self, account string) {
	var groups, groupARNs, streams, streamARNs []string
	for _, c := range all {
		l := c.LogOptions
		if c.Type != "NORMAL" || c.KnownStatus != "RUNNING" || c.LogDriver != "awslogs" || c.DockerID == self || l == (ecsLog{}) {
			continue
		}
		arn := fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s", l.Region, account, l.Group)
		groups, groupARNs = append(groups, l.Group), append(groupARNs, arn)
		streams, streamARNs = append(streams, l.Stream), append(streamARNs, arn+":log-stream:"+l.Stream)
	}
	if groups == nil {
		return
	}
	r.Set("aws.log.group.names", groups)
	r.Set("aws.log.group.arns", groupARNs)
	r.Set("aws.log.stream.names", streams)
	r.Set("aws.log.stream.arns", streamARNs)
}

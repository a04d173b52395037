# Twenty machines share a fleet: a batch job, one shard for each allocation. collect.sh merges the reports.
#
#     nomad var put nomad/jobs/fwdeploy private_key=@id_ed25519 known_hosts=@known_hosts inventory=@inventory.yml
#     nomad job run fwdeploy.nomad.hcl
#
# A variable holds 64 KiB: a larger inventory, or one of several files, comes by an `artifact` block.

variable "shards" {
  type    = number
  default = 20
}

job "fwdeploy" {
  type        = "batch"
  datacenters = ["*"]

  group "shard" {
    count = var.shards

    # A shard with failed nodes is not run again by itself: its report would be another one's. Run the job again.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    spread {
      attribute = "${node.unique.id}"
    }

    task "fwdeploy" {
      driver = "docker"
      user   = "65532"

      # The nodes at work are finished when the task is asked to end. The client's max_kill_timeout limits this.
      kill_timeout = "300s"

      config {
        image   = "registry.example.org/fwdeploy:1"
        command = "/bin/sh"
        # NOMAD_ALLOC_INDEX is counted from 0. The report is the task's stdout.
        args = [
          "-euc",
          "exec fwdeploy run \"$NOMAD_SECRETS_DIR/inventory.yml\" --shard \"$NOMAD_ALLOC_INDEX+1/$SHARDS\" --forks 50 --private-key \"$NOMAD_SECRETS_DIR/id_ed25519\" --known-hosts \"$NOMAD_SECRETS_DIR/known_hosts\" --ssh-config none --json",
        ]
        readonly_rootfs = true
        cap_drop        = ["all"]
      }

      env {
        SHARDS = "${var.shards}"
        HOME   = "${NOMAD_TASK_DIR}"
      }

      template {
        data        = "{{ with nomadVar \"nomad/jobs/fwdeploy\" }}{{ .inventory }}{{ end }}\n"
        destination = "${NOMAD_SECRETS_DIR}/inventory.yml"
        uid         = 65532
        perms       = "0400"
      }

      template {
        data        = "{{ with nomadVar \"nomad/jobs/fwdeploy\" }}{{ .private_key }}{{ end }}\n"
        destination = "${NOMAD_SECRETS_DIR}/id_ed25519"
        uid         = 65532
        perms       = "0400"
      }

      template {
        data        = "{{ with nomadVar \"nomad/jobs/fwdeploy\" }}{{ .known_hosts }}{{ end }}\n"
        destination = "${NOMAD_SECRETS_DIR}/known_hosts"
        uid         = 65532
        perms       = "0400"
      }

      # A report that is rotated away is cut, and `report merge` says so.
      logs {
        max_files     = 2
        max_file_size = 100
      }

      resources {
        cpu        = 500
        memory     = 256
        memory_max = 1024
      }
    }
  }
}

#!/usr/bin/env bash
# Installs the packages into an empty local repository, and lets the sample projects train with nothing of ours but these. What
# is not ours comes from the user's own repository where it is there already. JAVA_HOME: a JDK 25 or later.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
user=${MAVEN_REPOSITORY:-$HOME/.m2/repository}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/settings.xml" <<XML
<settings>
  <profiles>
    <profile>
      <id>user</id>
      <repositories>
        <repository><id>user</id><url>file://$user</url></repository>
      </repositories>
      <pluginRepositories>
        <pluginRepository><id>user</id><url>file://$user</url></pluginRepository>
      </pluginRepositories>
    </profile>
  </profiles>
  <activeProfiles>
    <activeProfile>user</activeProfile>
  </activeProfiles>
</settings>
XML
maven=(mvn -B -q -ntp -c -s "$work/settings.xml" "-Dmaven.repo.local=$work/repository" -Dstyle.color=never)

trained() {
    [ "$(grep -c 'step [012]: loss 0\.' "$1")" = 3 ] || { cat "$1"; echo "samples: $2 did not train three steps" >&2; exit 1; }
    echo "samples: $2 trained three steps: $(grep -ho 'step 2.*' "$1")"
}

"${maven[@]}" -f "$root/pom.xml" -Dnative.skip=true -Dmaven.test.skip=true -Dspotless.check.skip=true -Dmaven.javadoc.skip=true -Dcyclonedx.skip=true \
    -pl bom,bindings,natives,java-api -am install
# What a user has where nothing of the repository is built.
unset LANCETORCH_NATIVE LANCETORCH_LIBTORCH
"${maven[@]}" -f "$root/samples/maven/pom.xml" compile exec:exec | tee "$work/maven.log" >/dev/null
trained "$work/maven.log" "the Maven project"

if command -v gradle >/dev/null; then
    (cd "$root/samples/gradle" &&
        gradle -q --no-daemon --offline -g "$work/gradle" --project-cache-dir "$work/cache" "-PbuildDir=$work/build" \
            "-Dmaven.repo.local=$work/repository" run) > "$work/gradle.log" 2>&1 || { cat "$work/gradle.log"; exit 1; }
    trained "$work/gradle.log" "the Gradle project"
else
    echo "samples: there is no Gradle here: its project is not tried"
fi

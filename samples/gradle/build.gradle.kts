plugins {
    application
}

repositories {
    mavenLocal()
    mavenCentral()
}

dependencies {
    implementation(platform("io.lancetorch:lancetorch-bom:0.1.0-SNAPSHOT"))
    implementation("io.lancetorch:lancetorch")
    runtimeOnly("io.lancetorch:lancetorch-natives::linux-x86_64")
}

java {
    toolchain {
        languageVersion = JavaLanguageVersion.of(25)
    }
}

// One program for both samples.
sourceSets["main"].java.srcDir("../maven/src/main/java")

application {
    mainClass = "sample.ThreeSteps"
    applicationDefaultJvmArgs = listOf("--enable-native-access=ALL-UNNAMED")
}

package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageSourceTest {
    @TempDir
    private Path folder;

    private Path file(String path, String content) throws IOException {
        Path file = folder.resolve(path);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, content);
    }

    @Test
    void foldersBecomeClassesInTheOrderOfTheirNames() throws IOException {
        file("cat/b.jpg", "1");
        file("cat/a.JPEG", "2");
        file("ant/c.png", "3");
        file("cat/notes.txt", "no image");
        Files.createDirectories(folder.resolve("empty"));
        ImageSource.FileSource source = ImageSource.open(folder, "train");
        assertThat(source.classes()).containsExactly("ant", "cat");
        assertThat(source.labels()).containsExactly(0, 1, 1);
        assertThat(source.files().stream().map(file -> file.getFileName().toString()))
                .containsExactly("c.png", "a.JPEG", "b.jpg");
        assertThat(source.image(0)).isEqualTo("3".getBytes());
    }

    @Test
    void food101IsReadByItsListsAndNotByItsFolders() throws IOException {
        file("images/pizza/1.jpg", "1");
        file("images/pizza/2.jpg", "2");
        file("images/apple_pie/3.jpg", "3");
        file("meta/train.txt", "pizza/2\napple_pie/3\n");
        file("meta/test.txt", "pizza/1\n");
        ImageSource.FileSource train = ImageSource.open(folder, "train");
        assertThat(train.classes()).containsExactly("apple_pie", "pizza");
        assertThat(train.labels()).containsExactly(1, 0);
        assertThat(ImageSource.open(folder, "test").size()).isEqualTo(1);
    }

    @Test
    void aListThatNamesAMissingImageOrLeavesTheFolderIsRefused() throws IOException {
        file("images/pizza/1.jpg", "1");
        file("secret/x.jpg", "2");
        file("meta/train.txt", "pizza/9\n");
        assertThatThrownBy(() -> ImageSource.open(folder, "train")).hasMessageContaining("pizza/9");
        file("meta/test.txt", "../secret/x\n");
        assertThatThrownBy(() -> ImageSource.open(folder, "test")).hasMessageContaining("../secret/x");
    }

    @Test
    void aFolderWithoutImagesSaysWhatIsExpected() {
        assertThatThrownBy(() -> ImageSource.open(folder, "train"))
                .isInstanceOf(UserException.class)
                .hasMessageContaining("<class>/<image>.jpg");
        assertThatThrownBy(() -> ImageSource.open(folder.resolve("none"), "train"))
                .hasMessageContaining("no folder");
    }

    @Test
    void shufflingKeepsEachLabelWithItsFile() throws IOException {
        for (int i = 0; i < 40; i++) {
            file((i % 2 == 0 ? "even/" : "odd/") + i + ".jpg", "x");
        }
        ImageSource.FileSource source = ImageSource.open(folder, "train");
        ImageSource.FileSource shuffled = source.shuffled(5);
        assertThat(shuffled.files())
                .containsExactlyInAnyOrderElementsOf(source.files())
                .isNotEqualTo(source.files());
        assertThat(source.shuffled(5).files()).isEqualTo(shuffled.files());
        for (int i = 0; i < shuffled.size(); i++) {
            String folderName =
                    shuffled.files().get(i).getParent().getFileName().toString();
            assertThat(shuffled.classes().get(shuffled.label(i))).isEqualTo(folderName);
        }
    }

    @Test
    void theDrawingsAreTheSameEachTimeAndOfAllClasses() {
        var source = new ShapesSource(200, 0);
        var again = new ShapesSource(200, 0);
        assertThat(source.image(17)).isEqualTo(again.image(17)).isNotEqualTo(source.image(18));
        assertThat(source.image(17)).isNotEqualTo(new ShapesSource(200, 1).image(17));
        List<Integer> labels = java.util.stream.IntStream.range(0, 200)
                .mapToObj(source::label)
                .distinct()
                .toList();
        assertThat(labels).hasSize(source.classes().size());
    }
}
